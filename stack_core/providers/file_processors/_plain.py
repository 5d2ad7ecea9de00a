"""Formats that are text: read here, without a package, in linear time."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from stack_core.errors import InvalidRequest
from stack_core.providers.file_processors._document import Document, Section
from stack_core.providers.file_processors._html import text_of

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
LOOKED_AT = 1_000_000
"""Characters in which control characters are counted."""
MOST_CONTROL = 0.01
"""Share of control characters above which something is no text."""


def read_text(path: Path, media_type: str, name: str) -> Document:
    """Plain text and what is readable as such: Markdown, JSON, CSV, source code.

    Raises:
        InvalidRequest: it is no text.
    """
    return Document([Section(decoded(path.read_bytes(), media_type, name))], "text")


def read_html(path: Path, media_type: str, name: str) -> Document:
    """The text of a page: headings and list entries as Markdown has them, no scripts, no styles.

    Raises:
        InvalidRequest: it is no text.
    """
    content = path.read_bytes()
    said = _CHARSET.search(content[:2048].decode("latin-1"))
    page = decoded(content, media_type if "charset" in media_type or not said else said[0], name)
    return Document([Section(text_of(page))], "html")


def read_notebook(path: Path, media_type: str, name: str) -> Document:
    """The cells of a Jupyter notebook, code between fences, without outputs.

    Raises:
        InvalidRequest: it is no notebook.
    """
    try:
        content = from_json(decoded(path.read_bytes(), media_type, name))
        cells = content["cells"] if "cells" in content else content["worksheets"][0]["cells"]
        sections = [_cell(cell) for cell in cells]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InvalidRequest(f"{name} is no Jupyter notebook: {error}") from error
    return Document([Section(text) for text in sections], "notebook")


def decoded(content: bytes, media_type: str, name: str) -> str:
    """The text of bytes: by its byte order mark, by the charset that is said, as UTF-8, as UTF-16 where every other
    byte is zero, else as Windows writes Western languages.

    Raises:
        InvalidRequest: whatever it is, it is no text.
    """
    said = _CHARSET.search(media_type)
    for encoding in [*(_named(said[1]) if said else []), *_guesses(content)]:
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        sample = text[:LOOKED_AT]
        if len(_CONTROL.findall(sample)) <= MOST_CONTROL * len(sample) and "\x00" not in sample:
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise InvalidRequest(f"{name} is no text", "a file of another format needs the right name or media type")


def _guesses(content: bytes) -> list[str]:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return [encoding]
    head = content[:4096]
    if head.count(0) > len(head) // 4:
        return ["utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"]
    return ["utf-8", "cp1252", "latin-1"]


def _named(encoding: str) -> list[str]:
    """An encoding that is said, where it is one of texts."""
    try:
        found = codecs.lookup(encoding)
    except LookupError:
        return []
    # Some codecs turn bytes into bytes (zip, base64); they have no place here.
    return [found.name] if getattr(found, "_is_text_encoding", True) else []


def _cell(cell: dict[str, Any]) -> str:
    source = cell["source"] if "source" in cell else cell.get("input", "")
    text = "".join(source) if isinstance(source, list) else str(source)
    return f"```\n{text}\n```" if cell.get("cell_type") == "code" and text.strip() else text
