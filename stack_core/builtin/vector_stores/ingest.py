"""Files into a store: read, cut, embedded and put, in the background; taken up again after a restart."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from stack_core import context
from stack_core.apis._chunking import StaticChunking, StaticSizes
from stack_core.apis.file_processors import FileChunk
from stack_core.apis.vector_stores import AttachFileRequest, FileFault
from stack_core.background import Background
from stack_core.builtin._ground import Ground
from stack_core.builtin.vector_stores import entries
from stack_core.builtin.vector_stores.books import SHARED, Batch, Books, Store, StoreFile, key_of
from stack_core.builtin.vector_stores.indexes import Indexes
from stack_core.errors import InvalidRequest, MissingPackage, RequestError, StackError, Unsupported
from stack_core.lease import Holder
from stack_core.storage.sql import Where

log = logging.getLogger(__name__)
AT_ONCE = 4
"""Files that are worked on at once."""
WINDOW = 256
"""Pieces that are embedded and put at a time: a long file is never held whole with its vectors."""
PATIENCE = 10.0
"""Seconds that attaching waits for the file to be done."""
SMALLEST = 100
"""Fewest tokens in a piece."""
BEAT_SECONDS = 20.0
"""How often is told that a file is worked on."""


class Ingest:
    """The work on files."""

    def __init__(self, ground: Ground, books: Books, indexes: Indexes) -> None:
        self._ground, self._books, self._indexes = ground, books, indexes
        self._background = Background()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._holder = Holder()
        ground.on_close(self._close)

    async def attach(
        self, store: Store, asked: Sequence[AttachFileRequest], batch: Batch | None = None
    ) -> list[StoreFile]:
        """Write files down and begin to index them; one that is in the store already is indexed anew.

        Raises:
            InvalidRequest: an attribute that cannot be.
        """
        given = {one.file_id: one for one in asked}
        before, _ = await self._books.files([Where("id", "in", [key_of(store.id, id) for id in given])], limit=None)
        part_of = batch.id if batch is not None else None
        files = [await self._new(store, one, part_of) for one in given.values()]
        for file in before:
            await self.detach(store, file)
        if batch is not None:
            await self._books.add_batch(batch)
        await self._books.add_files(store.id, files, part_of)
        for file in files:
            self._begin(file, context.user.get(), context.provider_data.get())
        return files

    async def wait(self, files: Sequence[StoreFile]) -> None:
        """Wait until files are done, at most `PATIENCE` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for file in files:
                    await self._background.join(file.id)

    async def detach(self, store: Store, file: StoreFile) -> None:
        """Take a file out of a store, with its entries."""
        await self._background.cancel(file.id)
        file = await self._books.file(store.id, file.file_id)
        await self._clear(store, file)
        await self._books.remove_file(file)

    async def stop(self, store: Store, batch: Batch) -> None:
        """Stop the work on a batch; a file that is done stays."""
        left, _ = await self._books.files(
            [Where("batch", "=", batch.id), Where("status", "=", "in_progress")], limit=None
        )
        if not left:
            return
        await asyncio.gather(*(self._background.cancel(file.id) for file in left))
        await self._books.cancel(batch, left)
        stopped, _ = await self._books.files([Where("id", "in", [file.id for file in left])], limit=None)
        for file in stopped:
            if file.status == "cancelled":
                await self._clear(store, file)

    async def leave(self, store: Store) -> None:
        """Stop all work on a store that is about to go."""
        running, _ = await self._books.files(
            [Where("store", "=", store.id), Where("status", "=", "in_progress")], limit=None
        )
        for file in running:
            await self._background.cancel(file.id)

    async def label(self, store: Store, file: StoreFile) -> None:
        """Write a file's attributes on its entries."""
        index = await self._indexes.of(store)
        ids = file.entry_ids()
        for start in range(0, len(ids), WINDOW):
            found = await index.entries(store.id, ids[start : start + WINDOW])
            for entry in found:
                entry.attributes = file.attributes or {}
            await index.put(store.id, found)

    async def resume(self, within: Sequence[Where] = ()) -> None:
        """Take up what a stack that ended left in progress, in all stores or of one batch."""
        left, _ = await self._books.files([*within, Where("status", "=", "in_progress")], limit=None, order="asc")
        for file in left:
            await self.adopt(file)

    async def adopt(self, file: StoreFile) -> None:
        """Work on a file that is in progress and that nobody works on, for those whose file it is."""
        idle = file.status == "in_progress" and not self._background.running(file.id)
        if not idle or self._holder.taken(file.lease):
            return
        if await self._books.hold(file, self._holder.lease(), instead_of=file.lease):
            caller = None if file.owner in (None, SHARED) else context.User(file.owner)
            self._begin(file, caller, {})

    def _begin(self, file: StoreFile, caller: context.User | None, data: Any) -> None:
        self._background.start(file.id, self._index(file), caller=caller, data=data)

    async def _new(self, store: Store, asked: AttachFileRequest, batch: str | None) -> StoreFile:
        size, overlap = await self._sizes(store, asked)
        return StoreFile(
            id=key_of(store.id, asked.file_id),
            store=store.id,
            file_id=asked.file_id,
            owner=context.owner() or store.owner,
            batch=batch,
            created_at=int(time.time()),
            size=size,
            overlap=overlap,
            attributes=entries.checked_attributes(asked.attributes),
            lease=self._holder.lease(),
        )

    async def _sizes(self, store: Store, asked: AttachFileRequest) -> tuple[int, int]:
        """Most tokens in a piece, and its overlap. Left to us: as OpenAI's, or what the model reads."""
        given = asked.chunking_strategy
        if given is None and store.chunking_strategy is not None:
            given = AttachFileRequest.model_validate(
                {"file_id": asked.file_id, "chunking_strategy": store.chunking_strategy}
            ).chunking_strategy
        if isinstance(given, StaticChunking):
            return given.static.max_chunk_size_tokens, given.static.chunk_overlap_tokens
        usual = StaticSizes()
        size = usual.max_chunk_size_tokens
        if store.embedding_model is not None:
            with suppress(StackError):  # a model that is gone is reported where it is needed
                model = await self._ground.bound("models").get_model(model_id=store.embedding_model)
                size = max(SMALLEST, min(size, int(model.metadata.get("context_length") or size)))
        return size, size * usual.chunk_overlap_tokens // usual.max_chunk_size_tokens

    async def _index(self, file: StoreFile) -> None:
        """One file from its beginning to its end, good or bad; unless another process took it while it waited."""
        async with self._places:
            if not await self._books.hold(file, self._holder.lease()):
                return
            beating = asyncio.create_task(self._beat(file))
            try:
                await self._work(file)
            finally:
                beating.cancel()

    async def _beat(self, file: StoreFile) -> None:
        """Tell other processes now and then that a file is worked on."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with suppress(StackError):  # a store that is away is told by the work itself
                await self._books.hold(file, self._holder.lease())

    async def _close(self) -> None:
        await self._background.close()
        self._holder.close()

    async def _work(self, file: StoreFile) -> None:
        store = await self._books.store(file.store)
        try:
            file, used = await self._fill(store, file)
        except StackError as error:
            await self._fail(store, file, error)
            return
        except Exception as error:
            log.exception("file %s of vector store %s failed", file.file_id, file.store)
            await self._fail(store, file, StackError(f"{type(error).__name__}: {error}"))
            return
        fresh = await self._books.file(file.store, file.file_id)
        if fresh.attributes != file.attributes:
            await self.label(store, fresh)
        await self._books.settle(file, "completed", used=used)

    async def _fill(self, store: Store, file: StoreFile) -> tuple[StoreFile, int]:
        """Put a file's pieces into the index; gives its record and the bytes that they use."""
        chunks, filename = await self._read(file)
        file = await self._books.change_file(file, pieces=len(chunks), filename=filename)
        index = await self._indexes.of(store)
        used = 0
        for start in range(0, len(chunks), WINDOW):
            window = chunks[start : start + WINDOW]
            vectors = await self._indexes.embed(store, [chunk.content for chunk in window])
            await index.put(store.id, entries.of_file(file, window, vectors, start))
            used += sum(len(chunk.content.encode("utf-8", "replace")) for chunk in window)
        return file, used + len(chunks) * store.dimension * 4

    async def _read(self, file: StoreFile) -> tuple[list[FileChunk], str]:
        """The pieces of a file's text, and its name."""
        sizes = {"max_chunk_size_tokens": file.size, "chunk_overlap_tokens": file.overlap}
        try:
            about = await self._ground.bound("files").get_file(file_id=file.file_id)
            read = await self._ground.bound("file_processors").process_file(
                file_id=file.file_id, chunking_strategy={"type": "static", "static": sizes}
            )
        except (Unsupported, MissingPackage) as error:
            raise Unreadable("unsupported_file", error) from error
        except RequestError as error:
            raise Unreadable("invalid_file", error) from error
        return read.chunks, about.filename

    async def _fail(self, store: Store, file: StoreFile, error: StackError) -> None:
        code = error.fault if isinstance(error, Unreadable) else "server_error"
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        fault = FileFault.model_validate({"code": code, "message": message})
        if await self._books.settle(file, "failed", fault=fault):
            with suppress(StackError):  # an index that is away has nothing of this file to be searched either
                await self._clear(store, await self._books.file(store.id, file.file_id))

    async def _clear(self, store: Store, file: StoreFile) -> None:
        """Take a file's entries out of the index."""
        if file.pieces:
            await (await self._indexes.of(store)).remove(store.id, file.entry_ids())


class Unreadable(InvalidRequest):
    """A file has no text for us; `fault` is OpenAI's code for why."""

    def __init__(self, fault: str, error: StackError) -> None:
        super().__init__(error.message, error.hint)
        self.fault = fault
