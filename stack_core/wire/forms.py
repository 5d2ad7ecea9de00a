"""Multipart forms: how a file comes in with a call, and how a client sends one. No file is ever held whole in memory.

Shape: RFC 7578. A file is a part with a file name; a part without one is a text, and a text never stands for a file.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import tempfile
from collections.abc import AsyncIterable
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pydantic_core import from_json

from stack_core.apis._content import PIECE, Upload
from stack_core.errors import InvalidRequest, MissingPackage, PayloadTooLarge
from stack_core.wire.queries import place

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks, MultipartParser

FORM = "multipart/form-data"
MOST_PARTS = 1_000
"""Parts of one form."""
MOST_TEXT = 1024 * 1024
"""Bytes of all text parts of a form together."""

_SILENT = logging.NullHandler()
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_ENCODINGS = (b"", b"7bit", b"8bit", b"binary")


def is_form(verb: str, content_type: str) -> bool:
    """Whether a request's body is a form with files; what is only asked for has no body, whatever its header says."""
    if not content_type or verb in ("GET", "HEAD", "DELETE"):
        return False
    return content_type[:20].lower().startswith(FORM) and content_type[19:20] in ("", ";", " ", "\t")


async def read_form(
    content_type: str, pieces: AsyncIterable[bytes], field: str, files: ExitStack, most: int | None = None
) -> dict[str, Any]:
    """The fields of a form as a request model takes them: the file under `field` as an `Upload`, texts by name.

    Args:
        pieces: the body, in pieces of any size.
        files: closes, and so deletes, the temporary file when the call is over. In memory up to 1 MB.
        most: bytes that the file may have; None is no limit.

    Raises:
        InvalidRequest: it is no form, it ends too early, or a part is not what it should be.
        PayloadTooLarge: its file or its texts are too long.
        MissingPackage: forms need the package `python-multipart`.
    """
    form = _Form(field, files, most)
    parser, fault = _parser(content_type, form)
    async for piece in pieces:
        for start in range(0, len(piece), PIECE):
            try:
                parser.write(piece[start : start + PIECE])
            except fault as error:
                raise _broken(f"is not a multipart form: {error}") from error
            await form.settle()
    if not form.complete:
        raise _broken("ends before its closing boundary: the file did not come whole")
    return await form.fields()


def _parser(content_type: str, form: _Form) -> tuple[MultipartParser, type[Exception]]:
    """The parser of a body with this content type, and what it raises."""
    try:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser
    except ImportError:
        raise MissingPackage("python-multipart", needed_by="uploading a file", extra="server") from None
    boundary = parameters(content_type).get("boundary", b"")
    if not boundary:
        raise _broken(f"has no boundary: send content-type: {FORM}; boundary=…")
    # What is wrong with a form is told to its sender; without a handler Python would print it to stderr, too.
    logging.getLogger("python_multipart").addHandler(_SILENT)
    try:
        return MultipartParser(boundary, form.callbacks()), FormParserError
    except FormParserError as error:
        raise _broken(f"is not a multipart form: {error}") from error


class _Part:
    """One part: a text, or a file that goes to disk once it is over `PIECE` bytes."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.name = ""
        self.filename: str | None = None
        self.waiting = bytearray()
        self.file: IO[bytes] | None = None


class _Form:
    """What the parser tells, put together. The parser calls back synchronously; `settle` writes to disk between."""

    def __init__(self, field: str, files: ExitStack, most: int | None) -> None:
        self._field, self._files, self._most = field, files, most
        self._parts: list[_Part] = []
        self._texts = self._size = 0
        self._header = bytearray()
        self._value = bytearray()
        self.complete = False

    def callbacks(self) -> MultipartCallbacks:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_end": self._end,
        }

    async def settle(self) -> None:
        """Write what waits of the file, off the event loop."""
        part = self._parts[-1] if self._parts else None
        if part is None or part.filename is None or len(part.waiting) < PIECE:
            return
        if part.file is None:
            part.file = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the call
        waiting, part.waiting = part.waiting, bytearray()
        await asyncio.to_thread(part.file.write, waiting)

    async def fields(self) -> dict[str, Any]:
        """Name → text, list, mapping or `Upload`."""
        found: dict[str, Any] = {}
        for part in self._parts:
            if part.filename is None:
                place(found, part.name, _decoded(part.waiting, part.name))
                continue
            if part.file is None:
                file: IO[bytes] = io.BytesIO(part.waiting)
            else:
                file = part.file
                await asyncio.to_thread(file.write, part.waiting)
                await asyncio.to_thread(file.seek, 0)
            kind = part.headers.get(b"content-type", b"").decode("latin-1").strip()
            found[self._field] = Upload(file, part.filename, kind or None)  # type: ignore[arg-type]  # IO[bytes] is one
        return found

    def _begin(self) -> None:
        if len(self._parts) >= MOST_PARTS:
            raise PayloadTooLarge(f"the form has over {MOST_PARTS:,} parts")
        self._parts.append(_Part())

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._parts[-1]
        if part.filename is None:
            self._texts += end - start
            if self._texts > MOST_TEXT:
                raise PayloadTooLarge(f"the texts of the form are over {MOST_TEXT:,} bytes")
        else:
            self._size += end - start
            if self._most is not None and self._size > self._most:
                raise PayloadTooLarge(f"the file is over {self._most:,} bytes", "send a smaller one")
        part.waiting += memoryview(data)[start:end]

    def _header_end(self) -> None:
        self._parts[-1].headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        part = self._parts[-1]
        given = parameters(part.headers.get(b"content-disposition", b"").decode("latin-1"))
        if not given.get("name"):
            raise _broken("has a part without a name")
        part.name = _decoded(given["name"], "the name of a part")
        if part.headers.get(b"content-transfer-encoding", b"").strip().lower() not in _ENCODINGS:
            raise _fault(part.name, "content-transfer-encoding is not used in forms: send the bytes as they are")
        if "filename*" in given or "filename" in given:
            part.filename = _file_name(given)
            self._check_file(part)
        elif part.name.partition("[")[0] == self._field:
            raise _fault(part.name, "a file is needed, not a text: give the part a file name and the file's bytes")

    def _check_file(self, part: _Part) -> None:
        if part.name != self._field:
            raise _fault(part.name, f"is not where the file belongs: send it as {self._field!r}")
        if sum(other.filename is not None for other in self._parts) > 1:
            raise _fault(part.name, "one file a call, and there are two")

    def _end(self) -> None:
        self.complete = True


def parameters(header: str) -> dict[str, bytes]:
    """The parameters of a header's value by lower-case name; `name*` keeps its star. Quoted ones are unquoted."""
    found: dict[str, bytes] = {}
    for name, value in _PARAMETER.findall(";" + header.partition(";")[2]):
        text = re.sub(r"\\([\"\\])", r"\1", value[1:-1]) if value.startswith('"') else value.strip()
        found.setdefault(name.lower(), text.encode("latin-1", "replace"))
    return found


def _file_name(given: dict[str, bytes]) -> str:
    """The last part of the file's name: no folder of the caller's machine, and none of ours, is named by it."""
    extended = given.get("filename*", b"")
    if extended.count(b"'") >= 2:  # RFC 5987: charset'language'percent-encoded
        charset, _, rest = extended.split(b"'", 2)
        raw = unquote_to_bytes(rest)
        name = raw.decode("latin-1") if charset.lower() == b"iso-8859-1" else _readable(raw)
    else:
        name = _readable(given.get("filename", b""))
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r"[\x00-\x1f\x7f]", "", name).strip()
    if name in ("", ".", ".."):
        raise _fault("filename", "the file has no name: choose a file, and send its name with it")
    return name[:255]


def _readable(raw: bytes) -> str:
    """Names are UTF-8; old programs send Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _decoded(text: bytes | bytearray, name: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise _fault(name, "is not UTF-8 text") from None


def plain(value: Any) -> Any:
    """A form's text where an object or a list is meant: some clients send those as JSON."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return from_json(value, allow_inf_nan=False)
        except ValueError:
            return value
    return value


def _broken(what: str) -> InvalidRequest:
    fault = {"loc": ["body"], "msg": what, "type": "form_invalid"}
    return InvalidRequest(f"the body {what}", "send multipart/form-data, as curl -F file=@NAME does", errors=[fault])


def _fault(name: str, what: str) -> InvalidRequest:
    fault = {"loc": [name], "msg": what, "type": "form_invalid"}
    return InvalidRequest(f"{name}: {what}", errors=[fault])
