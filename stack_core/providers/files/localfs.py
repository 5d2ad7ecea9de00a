"""Files in a folder of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._content import PIECE, FileContent, Upload
from stack_core.apis.files import File
from stack_core.errors import NotFound, StoreUnavailable
from stack_core.providers._registry import provider
from stack_core.providers.files._kept import Kept, KeptFiles, media_type_of, pieces_of, unbroken
from stack_core.storage.references import SqlReference
from stack_core.storage.sql import Sql

ABANDONED = 24 * 3600
"""Seconds after which the beginning of an upload that never ended is removed."""
_ID = re.compile(r"file-[0-9a-f]{32}")


class LocalConfig(BaseModel):
    """Where files are kept."""

    model_config = ConfigDict(extra="forbid")
    storage_dir: Path = Field(
        Path("~/.llama/files"), description="Folder of the content; made where there is none.", validate_default=True
    )
    metadata_store: SqlReference | None = Field(None, description="Where their names, owners and times are kept.")
    ttl_secs: int = Field(31536000, gt=0, description="Seconds that a file stays whose upload does not say.")


@provider(
    "inline::localfs",
    sample={
        "storage_dir": "${env.FILES_STORAGE_DIR:=__distro_dir__/files}",
        "metadata_store": {"table_name": "files_metadata", "backend": "sql_default"},
    },
)
class LocalFiles(KeptFiles):
    """Files in a folder of this machine, each under its id. Several processes may share the folder and its books."""

    Config = LocalConfig

    def __init__(self, config: LocalConfig, metadata_store: Sql) -> None:
        super().__init__(metadata_store, config.ttl_secs)
        self._folder = config.storage_dir.expanduser()

    async def __aenter__(self) -> LocalFiles:
        await asyncio.to_thread(self._prepare)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open between calls."""

    async def _write(self, file: File, upload: Upload) -> Kept:
        part, target = self._folder / f"{file.id}.part", self._path(file.id)
        try:
            out = await unbroken(_created, part)
            async with AsyncExitStack() as undo:
                undo.push_async_callback(unbroken, _discard, out, part, target)
                async for piece in pieces_of(upload):
                    file.bytes += await unbroken(out.write, piece)
                await unbroken(_finish, out, part, target)
                undo.pop_all()
        except OSError as error:
            raise StoreUnavailable(f"{self._folder} cannot be written: {error}", "free some space there") from error
        return Kept(file, media_type_of(upload), file.id)

    async def _read(self, kept: Kept) -> FileContent:
        try:
            opened = await asyncio.to_thread(self._path(kept.place).open, "rb")
        except FileNotFoundError:
            raise NotFound("file", kept.file.id, hint="its content is gone: it was being deleted") from None
        except OSError as error:
            raise StoreUnavailable(f"{kept.file.id} cannot be read: {error}") from error

        async def close() -> None:
            opened.close()

        return FileContent(
            _pieces(opened),
            filename=kept.file.filename,
            media_type=kept.media_type,
            size=kept.file.bytes,
            close=close,
        )

    async def _remove(self, place: str) -> None:
        await asyncio.to_thread(self._path(place).unlink, missing_ok=True)

    def _path(self, place: str) -> Path:
        """Where content lies. The name was made here, so what has another form never was a file of this folder."""
        if not _ID.fullmatch(place):
            raise NotFound("file", place)
        return self._folder / place

    def _prepare(self) -> None:
        """Make the folder, and remove what uploads left that a crash ended.

        Raises:
            StoreUnavailable: it cannot be used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for part in self._folder.glob("file-*.part"):
                if part.stat().st_mtime < time.time() - ABANDONED:
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{self._folder} cannot be used: {error}", "set storage_dir") from error


def _created(part: Path) -> BinaryIO:
    return os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _finish(out: BinaryIO, part: Path, target: Path) -> None:
    """Put content under its name, once all of it is on the disk."""
    out.flush()
    os.fsync(out.fileno())
    out.close()
    part.replace(target)
    if os.name == "posix":  # elsewhere a folder cannot be opened, and the name needs no sync of its own
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _discard(out: BinaryIO, part: Path, target: Path) -> None:
    """Leave nothing of an upload that failed."""
    with suppress(OSError):  # what is still in its buffer may not fit on the disk
        out.close()
    part.unlink(missing_ok=True)
    target.unlink(missing_ok=True)


async def _pieces(opened: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while piece := await asyncio.to_thread(opened.read, PIECE):
            yield piece
    finally:
        opened.close()
