"""Which format a file is: by its first bytes, then by its media type, then by its name's ending."""

from __future__ import annotations

import mimetypes
import zipfile
from pathlib import Path
from typing import Literal

from stack_core.errors import InvalidRequest

Format = Literal["text", "html", "ipynb", "pdf", "docx", "pptx", "xlsx", "epub"]

HEAD = 4096
"""Bytes that are looked at."""
_ZIPPED: dict[str, Format] = {"word/": "docx", "ppt/": "pptx", "xl/": "xlsx", "META-INF/container.xml": "epub"}
_OFFICE = "application/vnd.openxmlformats-officedocument."
_BY_TYPE: dict[str, Format] = {
    "application/pdf": "pdf", "text/html": "html", "application/xhtml+xml": "html",
    "application/x-ipynb+json": "ipynb", "application/epub+zip": "epub",
    f"{_OFFICE}wordprocessingml.document": "docx", f"{_OFFICE}presentationml.presentation": "pptx",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
}  # fmt: skip
_BY_ENDING: dict[str, Format] = {
    ".pdf": "pdf", ".html": "html", ".htm": "html", ".xhtml": "html", ".ipynb": "ipynb", ".docx": "docx",
    ".pptx": "pptx", ".xlsx": "xlsx", ".epub": "epub",
}  # fmt: skip
_BINARY = frozenset({"pdf", "docx", "pptx", "xlsx", "epub"})
_REFUSED = (
    (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"), (b"II*\x00", "a picture"),
    (b"MM\x00*", "a picture"), (b"\xd0\xcf\x11\xe0", "a file of Office 97 to 2003"), (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"), (b"\x28\xb5\x2f\xfd", "a zstd archive"), (b"BZh", "a bzip2 archive"),
    (b"Rar!", "a RAR archive"), (b"\x7fELF", "a program"), (b"MZ\x90", "a program"), (b"{\\rtf", "an RTF file"),
    (b"SQLite format 3", "a database"), (b"ID3", "a sound"), (b"OggS", "a sound"), (b"PAR1", "a Parquet file"),
)  # fmt: skip
READABLE = "text, Markdown, HTML, JSON, CSV, notebooks, PDF, docx, pptx, xlsx and epub can be read"


def format_of(path: Path, media_type: str, name: str) -> Format:
    """The format of the file at `path`, which its sender calls `name`.

    Raises:
        InvalidRequest: it is empty, not what its name says, or nothing that can be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise InvalidRequest(f"{name} is empty")
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise InvalidRequest(f"{name} is {what}, which cannot be read", READABLE)
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path, name)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    said = _said(media_type, name)
    if said in _BINARY:
        raise InvalidRequest(f"{name} is said to be {said}, but its content is none", "was it damaged on its way?")
    return said


def _said(media_type: str, name: str) -> Format:
    """What the media type says, else the ending; guessed types say no more than the ending does."""
    kind = media_type.partition(";")[0].strip().lower()
    guessed = mimetypes.guess_type(name)[0]
    if kind != guessed and kind in _BY_TYPE:
        return _BY_TYPE[kind]
    return _BY_ENDING.get(Path(name).suffix.lower()) or _BY_TYPE.get(kind, "text")


def _zipped(path: Path, name: str) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InvalidRequest(f"{name} is damaged: {error}") from error
    for start, kind in _ZIPPED.items():
        if any(entry.startswith(start) for entry in names):
            return kind
    raise InvalidRequest(f"{name} is a zip archive without a document", "unpack it and give its files")
