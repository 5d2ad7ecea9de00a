"""Files on their way in and out of a call, read in pieces so that none is ever held whole in memory."""

from __future__ import annotations

import asyncio
import io
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

PIECE = 1024 * 1024
"""Bytes read at a time."""


class Upload:
    """A file that a caller hands in. Where an API takes one, a `Path`, bytes, an open binary file, or a tuple
    `(name, bytes or file)` or `(name, bytes or file, media type)` may be given, as with OpenAI's client.

    A plain text is refused: over HTTP it would let a caller name a file of the server.
    """

    def __init__(self, source: Path | BinaryIO, filename: str, media_type: str | None = None) -> None:
        self._source, self.filename = source, filename
        self.media_type = media_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file at its beginning. What was given as a `Path` is open only inside the block; an open file stays its
        owner's to close."""
        if isinstance(self._source, Path):
            with self._source.open("rb") as file:
                yield file
            return
        self._source.seek(0)
        yield self._source

    async def size(self) -> int:
        """Bytes of the content."""
        return await asyncio.to_thread(self._measure)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content from its beginning, in pieces of at most `PIECE` bytes, read off the event loop."""
        with ExitStack() as closing:
            file = await asyncio.to_thread(closing.enter_context, self.opened())
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece

    def _measure(self) -> int:
        with self.opened() as file:
            return file.seek(0, io.SEEK_END)

    @classmethod
    def of(cls, value: Any) -> Upload:
        """An upload from any of the forms above."""
        if isinstance(value, Upload):
            return value
        if isinstance(value, tuple) and len(value) in (2, 3) and isinstance(value[0], str):
            return cls(_source(value[1]), value[0], value[2] if len(value) == 3 else None)
        if isinstance(value, PathLike):
            return cls(_source(value), Path(value).name)
        return cls(_source(value), Path(str(getattr(value, "name", "") or "upload")).name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "binary"}


def _source(value: Any) -> Path | BinaryIO:
    if isinstance(value, bytes | bytearray | memoryview):
        return io.BytesIO(value)
    if isinstance(value, PathLike):
        path = Path(value)
        try:
            path.open("rb").close()
        except OSError as error:
            raise PydanticCustomError("file_unreadable", "{why}", {"why": str(error)}) from error
        return path
    if hasattr(value, "read") and hasattr(value, "seek") and not isinstance(value, io.TextIOBase):
        return value  # type: ignore[no-any-return]  # whatever reads and seeks is a file
    raise PydanticCustomError("file_expected", "a file is needed: a Path, bytes, an open binary file or (name, bytes)")


class FileContent:
    """A file that a call gives back, to be read once: `await content.read()`, or piece by piece.

    Args:
        pieces: gives the bytes.
        size: in bytes, where it is known.
        close: ends the reading early.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        *,
        filename: str = "",
        media_type: str = "application/octet-stream",
        size: int | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._pieces, self._close = pieces, close
        self.filename, self.media_type, self.size = filename, media_type, size

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, in pieces."""
        return self._pieces

    async def read(self) -> bytes:
        """All bytes."""
        try:
            return b"".join([piece async for piece in self._pieces])
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop reading."""
        ending = getattr(self._pieces, "aclose", None)
        if ending is not None:
            await ending()
        if self._close is not None:
            await self._close()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "binary"}
