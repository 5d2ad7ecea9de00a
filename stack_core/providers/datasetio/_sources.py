"""From an address to a table: a local file as it is, anything else through a temporary copy of limited size."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from urllib.request import url2pathname
from weakref import WeakValueDictionary

from stack_core.apis.files import Files
from stack_core.errors import (
    InvalidRequest,
    PayloadTooLarge,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    Unsupported,
    nearest,
)
from stack_core.http import Client, HTTPError, InvalidURL, TimeoutException, open_client
from stack_core.providers.datasetio._folders import Folders
from stack_core.providers.datasetio._hosts import Hosts
from stack_core.providers.datasetio._pages import Table
from stack_core.providers.datasetio._tables import is_gzip, open_table, unpack

MOST_OPEN = 256
"""Tables whose places are remembered."""
MOST_REDIRECTS = 10
MOST_COPIES = 64
"""Addresses and uploads of which a copy is kept."""
SCHEMES = ("file", "lsfs", "http", "https", "data")
_FILE_ID = re.compile(r"file-[\w-]+")


class _Copy(NamedTuple):
    path: Path
    name: str
    media_type: str


class Sources:
    """Opens tables by address, each remembered while its file stays the same.

    Args:
        folders: where local files may lie.
        limit: bytes of a copy.
        downloads: whether http and https are served.
        files: uploaded files by id.
        private: whether addresses of the own network are read (see `Hosts`).
    """

    def __init__(
        self, folders: Folders, limit: int, downloads: bool, files: Files | None, private: bool | None = None
    ) -> None:
        self._folders, self._limit, self._downloads, self._files = folders, limit, downloads, files
        self._hosts = Hosts(private)
        self._tables: OrderedDict[tuple[Any, ...], Table] = OrderedDict()
        self._copies: OrderedDict[str, list[_Copy]] = OrderedDict()
        self._unpacked: dict[tuple[Any, ...], Path] = {}
        self._lock = threading.Lock()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._client: Client | None = None

    async def open(self, uri: str, *, anew: bool) -> Table:
        """The table at an address. With `anew` a download is made again: somebody begins to read.

        Raises:
            StackError: the address cannot be read; says why.
        """
        scheme = _scheme(uri)
        if scheme in ("http", "https"):
            return await self._opened(await self._copied(uri, anew=anew))
        if scheme == "data":
            return await self._opened(await self._copied(uri, anew=False))
        if _FILE_ID.fullmatch(uri):
            return await self._opened(await self._uploaded(uri))
        if scheme not in ("", "file", "lsfs"):
            close = nearest(scheme, SCHEMES)
            hint = f"did you mean {close[0]}:?" if close else f"a path, or one of {', '.join(SCHEMES)}"
            raise InvalidRequest(f"uri: addresses with {scheme}: are not known here", hint)
        path = _local(uri) if scheme else uri
        return await self._opened(_Copy(await asyncio.to_thread(self._folders.file, path), Path(path).name, ""))

    async def close(self) -> None:
        """Remove the copies."""
        if self._client is not None:
            await self._client.aclose()
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)

    async def _opened(self, copy: _Copy) -> Table:
        return await asyncio.to_thread(self._table, copy)

    def _table(self, copy: _Copy) -> Table:
        try:
            facts = copy.path.stat()
            key = (copy.path, facts.st_mtime_ns, facts.st_size, facts.st_ino, copy.media_type)
            table = self._tables.get(key) or self._read(copy, key)
        except OSError as error:
            raise InvalidRequest(
                f"{copy.name} cannot be read: {error.strerror}", "may this process read it?"
            ) from error
        with self._lock:
            self._tables[key] = table
            self._tables.move_to_end(key)
            while len(self._tables) > MOST_OPEN:
                oldest, _ = self._tables.popitem(last=False)
                if path := self._unpacked.pop(oldest, None):
                    path.unlink(missing_ok=True)
        return table

    def _read(self, copy: _Copy, key: tuple[Any, ...]) -> Table:
        if not is_gzip(copy.path):
            return open_table(copy.path, copy.name, copy.media_type)
        with self._new_file() as out:
            path = Path(out.name)
            unpack(copy.path, copy.name, out, self._limit)
        self._unpacked[key] = path
        return open_table(path, copy.name, copy.media_type)

    @contextmanager
    def _new_file(self) -> Iterator[BinaryIO]:
        """A temporary file, removed again where writing it fails."""
        with self._lock:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="datasets-")
        number, path = tempfile.mkstemp(dir=self._folder.name)
        os.close(number)
        try:
            with Path(path).open("wb") as out:
                yield out
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise

    async def _copied(self, uri: str, *, anew: bool) -> _Copy:
        key = hashlib.sha256(f"{self._hosts.open} {uri}".encode()).hexdigest()  # a copy is for those who may ask
        async with self._locks.setdefault(key, asyncio.Lock()):
            copies = self._copies.get(key, [])
            if copies and not anew:
                self._copies.move_to_end(key)
                return copies[-1]
            copy = await (self._decoded(uri) if uri[:5].lower() == "data:" else self._download(uri))
            self._keep(key, copies, copy)
            return copy

    def _keep(self, key: str, copies: list[_Copy], copy: _Copy) -> None:
        """Remember a copy, and the one before it, which may still be read; drop what was not read for longest."""
        if len(copies) > 1:
            copies[0].path.unlink(missing_ok=True)
        self._copies[key] = [*copies[-1:], copy]
        self._copies.move_to_end(key)
        while len(self._copies) > MOST_COPIES:
            _, dropped = self._copies.popitem(last=False)
            for old in dropped:
                old.path.unlink(missing_ok=True)

    async def _decoded(self, uri: str) -> _Copy:
        head, comma, payload = uri[5:].partition(",")
        media_type, *parameters = head.split(";")
        if not comma:
            raise InvalidRequest("uri: a data: address needs a comma before its content", "data:text/csv;base64,…")
        try:
            content = unquote_to_bytes(payload)
            if "base64" in parameters:
                content = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise InvalidRequest(f"uri: the content is not base64: {error}", "data:text/csv;base64,…") from error
        if len(content) > self._limit:
            raise self._too_large("the data: address")
        with self._new_file() as out:
            await asyncio.to_thread(out.write, content)
        return _Copy(Path(out.name), "data:", media_type)

    async def _download(self, uri: str) -> _Copy:
        if not self._downloads:
            raise InvalidRequest("uri: this stack downloads nothing", "`downloads` in the provider's config allows it")
        parts = urlsplit(uri)
        shown = f"{parts.scheme}://{parts.hostname}{parts.path}"  # a query may hold a key
        self._client = self._client or open_client()
        name = Path(unquote(parts.path)).name or shown
        try:
            for _ in range(MOST_REDIRECTS):
                await self._hosts.check(uri)
                async with self._client.stream("GET", uri, follow_redirects=False) as answer:
                    self._hosts.check_peer(answer)
                    if answer.next_request is None:
                        return await self._answered(answer, shown, name)
                    uri = str(answer.next_request.url)
        except TimeoutException as error:
            raise ProviderTimeout(f"{shown} did not answer in time") from error
        except (HTTPError, InvalidURL) as error:
            raise ProviderUnavailable(f"{shown} cannot be read: {error or type(error).__name__}") from error
        raise ProviderError(f"{shown} leads on and on", "give the address where the rows are")

    async def _answered(self, answer: Any, shown: str, name: str) -> _Copy:
        if answer.status_code >= 400:
            raise ProviderError(
                f"{shown} answered {answer.status_code}",
                "is the address right, and public?",
                upstream_status=answer.status_code,
            )
        path = await self._saved(answer.aiter_bytes(), shown)
        return _Copy(path, name, answer.headers.get("content-type", ""))

    async def _uploaded(self, file_id: str) -> _Copy:
        """A copy of an uploaded file. The Files API is asked each time: it knows who may read it."""
        if self._files is None:
            raise Unsupported("no provider of files is configured", "add one under providers.files")
        facts = await self._files.get_file(file_id=file_id)
        async with self._locks.setdefault(file_id, asyncio.Lock()):
            if file_id in self._copies:
                return self._copies[file_id][-1]
            content = await self._files.get_file_content(file_id=file_id)
            try:
                copy = _Copy(await self._saved(content.chunks(), facts.filename), facts.filename, "")
            finally:
                await content.aclose()
            self._keep(file_id, [], copy)
            return copy

    async def _saved(self, pieces: AsyncIterator[bytes], name: str) -> Path:
        written = 0
        with self._new_file() as out:
            async for piece in pieces:
                written += len(piece)
                if written > self._limit:
                    raise self._too_large(name)
                await asyncio.to_thread(out.write, piece)
        return Path(out.name)

    def _too_large(self, name: str) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"{name} is larger than {self._limit:,} bytes", "raise `max_bytes` in the provider's config"
        )


def _scheme(uri: str) -> str:
    """What stands before the colon of an address, "" for a path.

    Raises:
        InvalidRequest: no address at all.
    """
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri):
        return ""
    try:
        return urlsplit(uri).scheme.lower()
    except ValueError as error:
        raise InvalidRequest(f"uri: {error}", "https://host/rows.jsonl") from error


def _local(uri: str) -> str:
    """The path in a `file:` or `lsfs:` address."""
    parts = urlsplit(uri)
    if parts.scheme.lower() == "lsfs":
        return unquote(f"{parts.netloc}{parts.path}")
    if parts.netloc not in ("", "localhost"):
        raise InvalidRequest(f"uri: {parts.netloc} is another machine", "file:///path has three slashes")
    return url2pathname(parts.path)
