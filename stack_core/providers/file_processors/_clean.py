"""What layout does to the text of a PDF, mended as far as it can be without guessing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stack_core.providers.file_processors._document import Document

_HYPHEN = re.compile(r"(?<=[a-zäöüß])[-\u00ad]\n(?=[a-zäöüß])")
_SPACES = re.compile(r"[ \t\u00a0]+")
_EMPTY = re.compile(r"\n{3,}")


def cleaned(text: str) -> str:
    """Words joined that a line's end parted, one space between words, one empty line between paragraphs."""
    joined = _HYPHEN.sub("", text.replace("\r\n", "\n"))
    lines = (_SPACES.sub(" ", line).strip() for line in joined.split("\n"))
    return _EMPTY.sub("\n\n", "\n".join(lines)).strip()


def as_asked(document: Document, options: Mapping[str, Any]) -> Document:
    """A PDF's text, cleaned where `clean_text` says so, without what it says of itself unless `extract_metadata`."""
    if options["clean_text"]:
        document = replace(document, sections=[s._replace(text=cleaned(s.text)) for s in document.sections])
    return document if options["extract_metadata"] else replace(document, facts={})
