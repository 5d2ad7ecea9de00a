"""Reads one PDF or office file, in a process of its own that may be ended at any time: such files are built to be
complicated, and some to do harm.

A JSON object comes in on standard input (`path`, `format`, `password`), one goes out: `sections` (pairs of text and
page), `facts`, `pages`; or `error` and `hint` where the file is at fault. Imports nothing of ours: it is run as a file.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

MEMORY = 6 * 1024**3
"""Bytes of address space; models and their libraries reserve much that they never touch."""
MOST_UNPACKED = 512 * 1024**2
"""Bytes that a zipped document may unpack to."""
MOST_ENTRIES = 20_000
MOST_TEXT = 100_000_000
"""Characters that one file may give: it all goes through a pipe and is cut in memory."""
SUSPECT_SIZE, SUSPECT_RATIO = 16 * 1024**2, 200
"""An entry this large that packs this well holds nothing to read."""
_SLIDE = re.compile(r"<!-- Slide number: (\d+) -->")


class Unreadable(Exception):
    """The file is at fault."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def read_pdf(path: Path, password: str) -> dict[str, Any]:
    """The text of each page."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PdfReadError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(password):
            hint = "the password in options is wrong" if password else 'give options {"password": "…"}'
            raise Unreadable("is encrypted", hint)
        sections: list[tuple[str, int]] = []
        left = MOST_TEXT
        for number, page in enumerate(reader.pages, 1):
            sections.append((page.extract_text(), number))
            left -= len(sections[-1][0])
            check_length(left)
        facts = {name.lstrip("/").lower(): str(value) for name, value in (reader.metadata or {}).items() if value}
    except DependencyError as error:
        raise Unreadable(f"is encrypted, and reading it needs a package: {error}", "pip install cryptography") from None
    except PdfReadError as error:
        raise Unreadable(f"is no PDF, or a damaged one: {error}") from None
    if not sections:
        raise Unreadable("is a PDF without pages, or a damaged one")
    return {"sections": sections, "facts": facts, "pages": len(sections)}


def read_office(path: Path, ending: str) -> dict[str, Any]:
    """The content as Markdown; slides apart."""
    check_zip(path)
    from markitdown import FileConversionException, MarkItDown, MissingDependencyException, StreamInfo

    try:
        with path.open("rb") as file:
            text = (
                MarkItDown(enable_plugins=False).convert_stream(file, stream_info=StreamInfo(extension=ending)).markdown
            )
    except MissingDependencyException:
        raise Unreadable("needs a package to be read", "pip install 'llama-magics[office]'") from None
    except FileConversionException as error:
        lines = str(error).strip().splitlines() or ["it is damaged"]
        raise Unreadable(f"cannot be read: {lines[-1].strip()}") from None
    check_length(MOST_TEXT - len(text))
    parts = _SLIDE.split(text)
    sections: list[tuple[str, int | None]] = [(parts[0], None)]
    sections += [(parts[at + 1], int(parts[at])) for at in range(1, len(parts), 2)]
    return {"sections": sections, "facts": {}, "pages": len(parts) // 2 or None}


def check_length(left: int) -> None:
    """Refuse a file with more text than is taken."""
    if left < 0:
        raise Unreadable(f"has more than {MOST_TEXT:,} characters of text", "split it into several files")


def check_zip(path: Path) -> None:
    """Refuse what unpacks to more than anybody writes. What an entry says of its size is binding when it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise Unreadable(f"is damaged: {error}") from None
    total = sum(entry.file_size for entry in entries)
    bomb = any(e.file_size > max(SUSPECT_SIZE, SUSPECT_RATIO * e.compress_size) for e in entries)
    if len(entries) > MOST_ENTRIES or total > MOST_UNPACKED or bomb:
        raise Unreadable(f"would unpack to {total:,} bytes in {len(entries):,} files, which is not read")


def limit(seconds: int) -> None:
    """Let the system end this process should whoever started it be gone."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def main() -> None:
    """Read what standard input names."""
    asked = json.load(sys.stdin)
    limit(int(asked["seconds"]))
    path = Path(asked["path"])
    try:
        if asked["format"] == "pdf":
            found = read_pdf(path, asked["password"])
        else:
            found = read_office(path, f".{asked['format']}")
    except Unreadable as error:
        found = {"error": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
