"""What all file providers share: the books (owner, purpose, expiry, pages) over content that each keeps its own way."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, TypeVar

from stack_core import context
from stack_core.apis._content import FileContent, Upload
from stack_core.apis.files import DeletedFile, File, FileList, FileQuery, Files, FileUpload
from stack_core.errors import InvalidRequest, NotFound, PayloadTooLarge
from stack_core.storage.records import Records
from stack_core.storage.sql import Column, Sql, Where

T = TypeVar("T")
MOST = 512 * 1024 * 1024
"""Bytes of one file (OpenAI's limit)."""
NEVER = 2**62
"""Stands for the end of a file that stays; a null would be less than every time."""
SWEPT = 100
"""Files whose time is over that one listing removes, so that no call pays for a long absence."""
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(; ?[\x20-\x7e]{1,200})?", re.ASCII)
_UNSPOKEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Kept(NamedTuple):
    """A file in the books. `place` is what the content's keeper calls it."""

    file: File
    media_type: str
    place: str


class KeptFiles(Files):
    """Files whose content a subclass keeps: it writes, reads and removes; what is known of them is here.

    The books are written after the content and struck after it, so that a crash leaves no file visible that cannot be
    read whole, but for one that was being deleted.

    Args:
        sql: where the books are kept.
        ttl: seconds that a file stays whose upload does not say; None for as long as nobody deletes it.
    """

    def __init__(self, sql: Sql, ttl: int | None) -> None:
        fields = (Column("purpose", "text"), Column("expires", "integer"))
        self._books = Records(sql, "files", "file", fields=fields)
        self._ttl = ttl

    @abstractmethod
    async def _write(self, file: File, upload: Upload) -> Kept:
        """Keep content: all of it, or nothing. Gives the entry for the books, its size filled in."""

    @abstractmethod
    async def _read(self, kept: Kept) -> FileContent:
        """The content, to be read once.

        Raises:
            NotFound: it is gone.
        """

    @abstractmethod
    async def _remove(self, place: str) -> None:
        """Forget content; none there is no fault."""

    async def create_file(self, request: FileUpload) -> File:
        """Keep a file."""
        if await size_of(request.file) > MOST:
            raise too_large(label(request.file.filename))
        async with AsyncExitStack() as undo:
            kept = await self._write(self._drawn_up(request), request.file)
            undo.push_async_callback(self._remove, kept.place)
            await self._enter(kept)
            undo.pop_all()
        return kept.file

    async def list_files(self, request: FileQuery) -> FileList:
        """The files there are."""
        await self._sweep()
        where = [Where("expires", ">", int(time.time()))]
        if request.purpose is not None:
            where.append(Where("purpose", "=", request.purpose))
        page = await self._books.page(
            after=request.after, limit=request.limit, order=request.order, where=where, owner=context.owner()
        )
        return FileList(data=[_kept(data).file for data in page.data], **page.ends())

    async def get_file(self, file_id: str) -> File:
        """One file, without its content."""
        return (await self._find(file_id)).file

    async def get_file_content(self, file_id: str) -> FileContent:
        """The content of a file, to be read once."""
        return await self._read(await self._find(file_id))

    async def delete_file(self, file_id: str) -> DeletedFile:
        """Forget a file and its content."""
        kept = await self._find(file_id)
        await self._remove(kept.place)
        await self._books.remove(file_id, owner=context.owner())
        return DeletedFile(id=file_id)

    def _drawn_up(self, request: FileUpload) -> File:
        """The file as it will be, its size still to come."""
        now = int(time.time())
        seconds = request.expires_after.seconds if request.expires_after else self._ttl
        return File(
            id=f"file-{uuid.uuid4().hex}",
            bytes=0,
            created_at=now,
            expires_at=None if seconds is None else now + seconds,
            filename=label(request.file.filename),
            purpose=request.purpose,
        )

    async def _enter(self, kept: Kept) -> None:
        file = kept.file
        data = {"id": file.id, "file": file.model_dump(mode="json"), "media_type": kept.media_type, "place": kept.place}
        expires = NEVER if file.expires_at is None else file.expires_at
        await self._books.add(data, owner=context.owner(), purpose=file.purpose, expires=expires)

    async def _find(self, file_id: str) -> Kept:
        """A file of the caller's whose time is not over. One whose time is over goes now."""
        now = int(time.time())
        try:
            return _kept(await self._books.get(file_id, owner=context.owner(), where=[Where("expires", ">", now)]))
        except NotFound:
            ended = [Where("expires", "<=", now)]
            if (data := await self._books.find(file_id, owner=context.owner(), where=ended)) is not None:
                await self._end(_kept(data))
            raise

    async def _sweep(self) -> None:
        """Remove what has expired, whoever's it is."""
        ended = [Where("expires", "<=", int(time.time()))]
        for data in (await self._books.page(where=ended, limit=SWEPT, order="asc")).data:
            await self._end(_kept(data))

    async def _end(self, kept: Kept) -> None:
        await self._remove(kept.place)
        # Another call or process may have been quicker.
        await self._books.remove_all([Where("id", "=", kept.file.id)])


def _kept(data: dict[str, Any]) -> Kept:
    return Kept(File.model_validate(data["file"]), data["media_type"], data["place"])


def label(name: str) -> str:
    """A file's name as it is shown: the last part of a path, without signs that nobody sees. It never names a place."""
    shown = _UNSPOKEN.sub("", re.split(r"[/\\]", name)[-1]).strip()
    return shown[:255] if shown not in ("", ".", "..") else "upload"


def media_type_of(upload: Upload) -> str:
    """An upload's media type, where it is one: it goes into headers."""
    return upload.media_type if _MEDIA_TYPE.fullmatch(upload.media_type) else "application/octet-stream"


async def size_of(upload: Upload) -> int:
    """Bytes of an upload."""
    try:
        return await upload.size()
    except (OSError, ValueError) as error:
        raise unreadable(upload, error) from error


async def pieces_of(upload: Upload) -> AsyncIterator[bytes]:
    """The pieces of an upload. A file that grows beyond the limit while it is read, or breaks off, is refused."""
    read = 0
    pieces = upload.chunks()
    while True:
        try:
            piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except (OSError, ValueError) as error:
            raise unreadable(upload, error) from error
        read += len(piece)
        if read > MOST:
            raise too_large(label(upload.filename))
        yield piece


def unreadable(upload: Upload, error: Exception) -> InvalidRequest:
    """The error for a file that the caller gave and that cannot be read."""
    return InvalidRequest(f"{label(upload.filename)} cannot be read: {error}", "give a file that is open and seekable")


def too_large(name: str) -> PayloadTooLarge:
    """The error for a file over the limit."""
    return PayloadTooLarge(f"{name} is larger than {MOST // 1024**2} MB", "split it into several files")


async def unbroken(work: Callable[..., T], *args: Any) -> T:
    """Run blocking work in a thread. A call that is cancelled waits for the work's end, so that what follows may undo
    it."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
