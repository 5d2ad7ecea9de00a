"""What all file processors share: the file is fetched, read within a time, and its text cut."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._chunking import StaticSizes
from stack_core.apis._content import FileContent
from stack_core.apis.file_processors import FileProcessors, ProcessedFile, ProcessFile
from stack_core.apis.files import Files
from stack_core.errors import InvalidRequest, PayloadTooLarge, nearest
from stack_core.providers.file_processors._document import About, Document, answer, processed

MOST = 200 * 1024 * 1024
"""Bytes of a file that is read: its text is held in memory."""


class ProcessorConfig(BaseModel):
    """How text is cut where the caller leaves it to us."""

    model_config = ConfigDict(extra="forbid")
    default_chunk_size_tokens: int = Field(800, ge=100, le=4096, description="Tokens of a chunk.")
    default_chunk_overlap_tokens: int = Field(400, ge=0, description="Tokens said again; at most half of the size.")
    timeout_secs: float = Field(300, gt=0, description="Seconds that reading one file may take.")

    def sizes(self) -> StaticSizes:
        """The sizes of chunks."""
        overlap = min(self.default_chunk_overlap_tokens, self.default_chunk_size_tokens // 2)
        return StaticSizes(max_chunk_size_tokens=self.default_chunk_size_tokens, chunk_overlap_tokens=overlap)


class Source(NamedTuple):
    """A file on the disk for the time of a call."""

    path: Path
    name: str
    media_type: str


class Processor(FileProcessors):
    """A file processor, less the reading.

    Args:
        files: where kept files are.
    """

    TAKES: ClassVar[Mapping[str, type]] = {}
    """Option → its type. Any other is refused by name."""
    NAME: ClassVar[str]

    def __init__(self, config: ProcessorConfig, files: Files | None) -> None:
        self._sizes, self._seconds = config.sizes(), config.timeout_secs
        self._files = files

    @abstractmethod
    async def _document(self, source: Source, options: Mapping[str, Any]) -> Document:
        """Read a file.

        Raises:
            InvalidRequest: it cannot be read; names it.
        """

    async def process_file(self, request: ProcessFile) -> ProcessedFile:
        """Read a file and cut its text."""
        options = request.options or {}
        self._check(options)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="stack-file-") as folder:
            source = await self._fetched(request, Path(folder) / "content")
            try:
                async with asyncio.timeout(self._seconds):
                    document = await self._document(source, options)
            except TimeoutError:
                raise InvalidRequest(f"{source.name} takes longer than {self._seconds:g} s to read") from None
        about = About(source.name, request.file_id)
        chunks, told = await asyncio.to_thread(answer, document, about, request.chunking_strategy, self._sizes)
        return processed(chunks, told, self.NAME, time.monotonic() - began)

    def _check(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            wanted = self.TAKES.get(name)
            if wanted is None:
                close = nearest(name, self.TAKES)
                hint = f"did you mean {close[0]}?" if close else f"it takes {', '.join(self.TAKES) or 'none'}"
                raise InvalidRequest(f"options.{name}: {self.NAME} has no such option", hint)
            if not isinstance(value, wanted):
                raise InvalidRequest(f"options.{name} must be {wanted.__name__}, not {type(value).__name__}")

    async def _fetched(self, request: ProcessFile, path: Path) -> Source:
        """The file of a request, put onto the disk."""
        if request.file is not None:
            name, media_type = request.file.filename, request.file.media_type
            pieces: AsyncIterator[bytes] = request.file.chunks()
        else:
            content = await self._kept(request.file_id or "")
            name, media_type, pieces = content.filename, content.media_type, content.chunks()
        shown = re.split(r"[/\\]", name)[-1] or "the file"
        try:
            await _copied(pieces, path, shown)
        finally:
            if request.file is None:
                await content.aclose()
        return Source(path, shown, media_type)

    async def _kept(self, file_id: str) -> FileContent:
        if self._files is None:
            raise InvalidRequest("file_id: no files are kept here", "add a provider of files, or give the file itself")
        return await self._files.get_file_content(file_id)


async def _copied(pieces: AsyncIterator[bytes], path: Path, name: str) -> None:
    size = 0
    with path.open("wb") as out:  # opening and closing a file of ours takes no time; writing is below
        async for piece in pieces:
            size += len(piece)
            if size > MOST:
                raise PayloadTooLarge(f"{name} is larger than {MOST // 1024**2} MB", "split it into several files")
            await asyncio.to_thread(out.write, piece)
