"""The part of the stack that answers the APIs of vector stores and of vector IO."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from stack_core import context
from stack_core.apis.vector_io import (
    Chunk,
    InsertChunksRequest,
    QueryChunksRequest,
    QueryChunksResponse,
    QueryParams,
    VectorIO,
)
from stack_core.apis.vector_stores import (
    AttachFileRequest,
    CreateFileBatchRequest,
    CreateVectorStoreRequest,
    FileBatch,
    ListStoreFilesRequest,
    ListVectorStoresRequest,
    ReadStoreFileRequest,
    SearchPage,
    SearchRequest,
    StoreFileContent,
    UpdateStoreFileRequest,
    UpdateVectorStoreRequest,
    VectorStore,
    VectorStoreDeleted,
    VectorStoreFile,
    VectorStoreFileDeleted,
    VectorStoreFileList,
    VectorStoreList,
    VectorStores,
)
from stack_core.background import Background
from stack_core.builtin._ground import Ground
from stack_core.builtin.vector_stores import choice, entries, search, shown
from stack_core.builtin.vector_stores.books import Batch, Books, Store, StoreFile, key_of
from stack_core.builtin.vector_stores.indexes import Indexes, check_length
from stack_core.builtin.vector_stores.ingest import Ingest
from stack_core.builtin.vector_stores.registered import write_down
from stack_core.errors import InvalidRequest
from stack_core.storage.sql import Where

RESTING = 60
"""Seconds of use that one note of `last_active_at` covers; expiry counts in days."""
SHOWN = ("provider_id", "embedding_model", "embedding_dimension")
"""What the metadata of a store says beside the caller's own pairs."""


class Vectors(VectorStores, VectorIO):
    """Vector stores and what is in them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._books = Books(ground.sql("vector_stores"))
        self._indexes = Indexes(ground)
        self._ingest = Ingest(ground, self._books, self._indexes)
        self._background = Background()
        self._begun, self._beginning = False, asyncio.Lock()
        ground.on_close(self._background.close)

    # ---- stores

    async def create_vector_store(self, request: CreateVectorStoreRequest) -> VectorStore:
        """Make a vector store, empty or with files."""
        await self._ready()
        metadata = request.metadata or {}
        provider_id = choice.provider(self._ground, request.provider_id)
        wanted = request.embedding_model or metadata.get("embedding_model")
        model, dimension, shorten = await choice.embedder(self._ground, wanted, request.embedding_dimension)
        now, strategy = int(time.time()), request.chunking_strategy
        store = Store(
            id=f"vs_{uuid4().hex}",
            owner=context.owner(),
            created_at=now,
            name=request.name or "",
            description=request.description,
            metadata={name: value for name, value in metadata.items() if name not in SHOWN},
            expires_after=request.expires_after,
            last_active_at=now,
            chunking_strategy=strategy.model_dump() if strategy else None,
            provider_id=provider_id,
            embedding_model=model,
            dimension=dimension,
            shorten=shorten,
        )
        asked = [AttachFileRequest(file_id=id) for id in request.file_ids or ()]
        for one in asked:
            await self._ground.bound("files").get_file(file_id=one.file_id)
        await self._indexes.of(store)
        await self._books.add_store(store)
        if asked:
            await self._ingest.wait(await self._ingest.attach(store, asked))
        return shown.store(await self._books.store(store.id))

    async def list_vector_stores(self, request: ListVectorStoresRequest) -> VectorStoreList:
        """A page of vector stores."""
        await self._ready()
        stores, page = await self._books.stores(**request.model_dump())
        return VectorStoreList(data=[shown.store(store) for store in stores], **page.ends())

    async def get_vector_store(self, vector_store_id: str) -> VectorStore:
        """One vector store."""
        await self._ready()
        return shown.store(await self._books.sound_store(await self._books.store(vector_store_id)))

    async def update_vector_store(self, vector_store_id: str, request: UpdateVectorStoreRequest) -> VectorStore:
        """Change a store's name, expiry or metadata."""
        await self._ready()
        await self._books.store(vector_store_id)
        values: dict[str, Any] = {}
        if request.name is not None:
            values["name"] = request.name
        if "expires_after" in request.model_fields_set:
            values["expires_after"] = request.expires_after and request.expires_after.model_dump()
        if request.metadata is not None:
            values["metadata"] = {name: value for name, value in request.metadata.items() if name not in SHOWN}
        return shown.store(await self._books.change_store(vector_store_id, lambda data: {**data, **values}))

    async def delete_vector_store(self, vector_store_id: str) -> VectorStoreDeleted:
        """Forget a store with everything indexed in it."""
        await self._ready()
        store = await self._books.store(vector_store_id)
        await self._ingest.leave(store)
        await self._indexes.drop(store)
        await self._books.remove_store(store.id)
        return VectorStoreDeleted(id=store.id)

    async def search(self, vector_store_id: str, request: SearchRequest) -> SearchPage:
        """Find the pieces that answer a query best."""
        store = await self._used(vector_store_id)
        asked = search.question(request, entries.condition(request.filters, timed=store.timed))
        found = await search.find(self._ground, self._indexes, store, asked)
        return entries.page_of(list(asked.texts), ((one.hit, one.score) for one in found))

    # ---- files

    async def attach_file(self, vector_store_id: str, request: AttachFileRequest) -> VectorStoreFile:
        """Index a file in a store."""
        store = await self._used(vector_store_id)
        await self._ground.bound("files").get_file(file_id=request.file_id)
        await self._ingest.wait(await self._ingest.attach(store, [request]))
        return shown.file(await self._books.file(store.id, request.file_id))

    async def list_files(self, vector_store_id: str, request: ListStoreFilesRequest) -> VectorStoreFileList:
        """A page of a store's files."""
        await self._ready()
        store = await self._books.store(vector_store_id)
        return await self._files(store, request, [Where("store", "=", store.id)])

    async def get_file(self, vector_store_id: str, file_id: str) -> VectorStoreFile:
        """One file of a store."""
        return shown.file((await self._file(vector_store_id, file_id))[1])

    async def update_file(self, vector_store_id: str, file_id: str, request: UpdateStoreFileRequest) -> VectorStoreFile:
        """Give a file other attributes."""
        store, file = await self._file(vector_store_id, file_id)
        file = await self._books.change_file(file, attributes=entries.checked_attributes(request.attributes))
        if file.status == "completed":
            await self._ingest.label(store, file)
        return shown.file(file)

    async def delete_file(self, vector_store_id: str, file_id: str) -> VectorStoreFileDeleted:
        """Take a file out of a store."""
        store, file = await self._file(vector_store_id, file_id)
        await self._ingest.detach(store, file)
        return VectorStoreFileDeleted(id=file_id)

    async def file_content(self, vector_store_id: str, file_id: str, request: ReadStoreFileRequest) -> StoreFileContent:
        """The text of a file, in the pieces that are indexed."""
        store, file = await self._file(vector_store_id, file_id)
        index = await self._indexes.of(store)
        found = {entry.id: entry for entry in await index.entries(store.id, file.entry_ids())}
        pieces = [
            entries.piece_of(found[id], embedding=request.include_embeddings, metadata=request.include_metadata)
            for id in file.entry_ids()
            if id in found
        ]
        return StoreFileContent(
            data=pieces, content=pieces, file_id=file_id, filename=file.filename, attributes=file.attributes or {}
        )

    # ---- batches

    async def create_file_batch(self, vector_store_id: str, request: CreateFileBatchRequest) -> FileBatch:
        """Index many files in the background."""
        store = await self._used(vector_store_id)
        shared = {"attributes": request.attributes, "chunking_strategy": request.chunking_strategy}
        asked = request.files or [AttachFileRequest(file_id=id, **shared) for id in request.file_ids or ()]
        number = len({one.file_id for one in asked})
        batch = Batch(id=f"vsfb_{uuid4().hex}", store=store.id, created_at=int(time.time()))
        batch.file_counts = batch.file_counts.model_copy(update={"in_progress": number, "total": number})
        await self._ingest.attach(store, asked, batch)
        return shown.batch(batch)

    async def get_file_batch(self, vector_store_id: str, batch_id: str) -> FileBatch:
        """How far a batch is."""
        return shown.batch((await self._batch(vector_store_id, batch_id))[1])

    async def cancel_file_batch(self, vector_store_id: str, batch_id: str) -> FileBatch:
        """Stop a batch; files that are done stay."""
        store, batch = await self._batch(vector_store_id, batch_id)
        await self._ingest.stop(store, batch)
        return shown.batch(await self._books.batch(store.id, batch.id))

    async def list_batch_files(
        self, vector_store_id: str, batch_id: str, request: ListStoreFilesRequest
    ) -> VectorStoreFileList:
        """A page of a batch's files."""
        store, batch = await self._batch(vector_store_id, batch_id)
        return await self._files(store, request, [Where("batch", "=", batch.id)])

    # ---- chunks

    async def insert(self, request: InsertChunksRequest) -> None:
        """Put chunks into a store."""
        store = await self._used(request.store)
        index = await self._indexes.of(store)
        ends = None if request.ttl_seconds is None else time.time() + request.ttl_seconds
        if ends is not None and not store.timed:
            store = await self._books.change_store(store.id, lambda data: {**data, "timed": True})
        if store.timed:
            over = await index.entries(store.id, where=entries.ended())
            await index.remove(store.id, [entry.id for entry in over])
        vectors = await self._vectors(store, request.chunks)
        made = [entries.of_chunk(chunk, vector, ends) for chunk, vector in zip(request.chunks, vectors, strict=True)]
        await index.put(store.id, entries.distinct(made))

    async def query(self, request: QueryChunksRequest) -> QueryChunksResponse:
        """Find the chunks that fit a query best."""
        store = await self._used(request.store)
        params = request.params or QueryParams()
        text = entries.text_of(request.query)
        if not text:
            raise InvalidRequest("query: there is no text in it", "images cannot be looked for here")
        asked = search.Question(
            texts=(text,),
            most=params.max_chunks,
            mode=params.mode or "vector",
            where=entries.condition(params.filters, timed=store.timed),
            fusion=search.fusion_of(params.ranker),
            threshold=params.score_threshold or 0.0,
        )
        found = await search.find(self._ground, self._indexes, store, asked)
        return QueryChunksResponse(
            chunks=[entries.chunk_of(one.hit) for one in found], scores=[one.score for one in found]
        )

    async def _vectors(self, store: Store, chunks: Sequence[Chunk]) -> list[Sequence[float]]:
        """The vectors that chunks bring, and for the others those of the store's model."""
        bare: list[str] = []
        for chunk in chunks:
            if chunk.embedding is None:
                bare.append(entries.text_of(chunk.content))
                if not bare[-1].strip():
                    raise InvalidRequest("chunks: one has neither text nor an embedding", "embed images yourself")
                continue
            check_length(store, chunk.embedding)
            shown.check_claim(store, chunk)
        made = iter(await self._indexes.embed(store, bare) if bare else ())
        return [chunk.embedding if chunk.embedding is not None else next(made) for chunk in chunks]

    # ---- what all of them need

    async def _ready(self) -> None:
        """At the first call: the stores of the run file, and what an earlier stack left in progress."""
        if self._begun:
            return
        async with self._beginning:
            if not self._begun:
                await write_down(self._ground, self._books)
                await self._ingest.resume()
                self._begun = True

    async def _used(self, id: str) -> Store:
        """A store that is about to be used, which puts off its end."""
        await self._ready()
        store = await self._books.usable(id)
        now = int(time.time())
        if now - store.last_active_at >= RESTING:
            noted = self._books.change_store(id, lambda data: {**data, "last_active_at": now})
            self._background.start(f"used {id}", noted)
        return store

    async def _file(self, store: str, file_id: str) -> tuple[Store, StoreFile]:
        await self._ready()
        found = await self._books.store(store)
        file = await self._books.file(found.id, file_id)
        await self._ingest.adopt(file)
        return found, file

    async def _batch(self, store: str, id: str) -> tuple[Store, Batch]:
        await self._ready()
        found = await self._books.store(store)
        batch = await self._books.batch(found.id, id)
        if batch.file_counts.in_progress:
            await self._ingest.resume([Where("batch", "=", batch.id)])
        return found, await self._books.sound_batch(batch)

    async def _files(self, store: Store, request: ListStoreFilesRequest, where: list[Where]) -> VectorStoreFileList:
        if request.filter is not None:
            where.append(Where("status", "=", request.filter))
        files, more = await self._books.files(
            where,
            after=request.after and key_of(store.id, request.after),
            before=request.before and key_of(store.id, request.before),
            limit=request.limit,
            order=request.order,
        )
        data = [shown.file(file) for file in files]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return VectorStoreFileList(data=data, first_id=first, last_id=last, has_more=more)
