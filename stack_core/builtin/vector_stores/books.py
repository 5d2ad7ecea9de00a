"""What is written down about vector stores, their files and their batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from stack_core import context
from stack_core.apis._shapes import Shape
from stack_core.apis.vector_stores import ExpiresAfter, FileCounts, FileFault, FileStatus
from stack_core.errors import InvalidRequest, NotFound, UnknownId
from stack_core.storage.records import Data, Page, Records
from stack_core.storage.sql import Column, Sql, Where

SHARED = "*"
"""Owner of what the run file registers: everybody's."""
FRESH = 1.0
"""Seconds for which a store that was read is not read again: a search should cost no more than the search."""
DAY = 86_400
KNOWN = 1000
"""Stores that are kept in memory."""


class Store(Shape):
    """A vector store, as it is written down. `shorten` says that the model is asked for `dimension` by name; `timed`
    that some of its chunks end by themselves."""

    id: str
    owner: str | None = None
    created_at: int
    name: str = ""
    description: str | None = None
    metadata: dict[str, Any] = {}
    expires_after: ExpiresAfter | None = None
    last_active_at: int
    file_counts: FileCounts = FileCounts()
    usage_bytes: int = 0
    chunking_strategy: dict[str, Any] | None = None
    provider_id: str
    embedding_model: str | None = None
    dimension: int
    shorten: bool = False
    timed: bool = False

    @property
    def expires_at(self) -> int | None:
        """Unix time in seconds, or None where it stays."""
        return None if self.expires_after is None else self.last_active_at + self.expires_after.days * DAY

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and time.time() >= self.expires_at


class StoreFile(Shape):
    """A file in a store. `pieces` is how many entries it has or may have in the index, `id` the key of this record,
    `lease` who works on it."""

    id: str
    store: str
    file_id: str
    filename: str = ""
    owner: str | None = None
    batch: str | None = None
    created_at: int
    status: FileStatus = "in_progress"
    last_error: FileFault | None = None
    usage_bytes: int = 0
    size: int = 800
    overlap: int = 400
    attributes: dict[str, Any] | None = None
    pieces: int = 0
    lease: dict[str, Any] | None = None

    def entry_ids(self) -> list[str]:
        """The ids of its entries, in the order of its text."""
        return [f"{self.file_id}_{number}" for number in range(self.pieces)]


class Batch(Shape):
    """Files that were attached together."""

    id: str
    store: str
    created_at: int
    cancelled: bool = False
    file_counts: FileCounts = FileCounts()


def key_of(store: str, file_id: str) -> str:
    """The key of a file's record."""
    return f"{store}/{file_id}"


class Books:
    """The records, with what changes together changed together."""

    def __init__(self, sql: Sql) -> None:
        within = (Column("store", "text"), Column("batch", "text"), Column("status", "text"))
        self._stores = Records(sql, "stores", "vector store", unknown=UnknownId)
        self._files = Records(sql, "files", "vector store file", fields=within)
        self._batches = Records(sql, "batches", "file batch", fields=within[:1], unknown=UnknownId)
        self._known: dict[str, tuple[float, Store]] = {}

    # ---- stores

    async def add_store(self, store: Store) -> None:
        """Write down a new store."""
        await self._stores.add(store.model_dump(mode="json"), owner=store.owner)

    async def has_store(self, id: str) -> bool:
        """Whether there is a store of this id, whoever's."""
        return await self._stores.find(id) is not None

    async def store(self, id: str) -> Store:
        """A store that the caller may see.

        Raises:
            UnknownId: there is none; names the nearest.
        """
        return self._keep(await self._stores.get(id, where=_visible()))

    async def usable(self, id: str) -> Store:
        """As `store`, but its counts may be `FRESH` seconds old.

        Raises:
            UnknownId: there is none; names the nearest.
            InvalidRequest: its time is over.
        """
        read, store = self._known.get(id, (0.0, None))
        if store is None or time.monotonic() - read > FRESH or not _may_see(store.owner):
            store = await self.store(id)
        if store.expired and store.expires_after is not None:
            raise InvalidRequest(
                f"vector store {id!r} has expired: it was not used for {store.expires_after.days} days",
                "make a new one, or update it with another expires_after",
            )
        return store

    async def change_store(self, id: str, changed: Callable[[Data], Data]) -> Store:
        """Replace what is written of a store by `changed(it)`."""
        return self._keep(await self._stores.change(id, changed))

    async def remove_store(self, id: str) -> None:
        """Forget a store with its files and batches."""
        self._known.pop(id, None)
        await self._files.remove_all([Where("store", "=", id)])
        await self._batches.remove_all([Where("store", "=", id)])
        await self._stores.remove(id)

    async def stores(self, **paging: Any) -> tuple[list[Store], Page]:
        """A page of the stores that the caller may see."""
        page = await self._stores.page(where=_visible(), **paging)
        return [Store.model_validate(data) for data in page.data], page

    # ---- files

    async def add_files(self, store: str, files: Sequence[StoreFile], batch: str | None = None) -> None:
        """Write down files that are about to be indexed, and count them."""
        documents = [file.model_dump(mode="json") for file in files]
        await self._files.add_all(documents, store=store, batch=batch, status="in_progress")
        await self.change_store(store, lambda data: _counted(data, None, "in_progress", len(files)))

    async def file(self, store: str, file_id: str) -> StoreFile:
        """A file of a store.

        Raises:
            NotFound: the store has none of this id; names the nearest.
        """
        found = await self._files.find(key_of(store, file_id))
        if found is None:
            newest = await self._files.page(where=[Where("store", "=", store)], limit=200)
            raise NotFound(f"file of vector store {store}", file_id, [data["file_id"] for data in newest.data])
        return StoreFile.model_validate(found)

    async def files(self, where: Sequence[Where], **paging: Any) -> tuple[list[StoreFile], bool]:
        """Files, and whether there are more."""
        page = await self._files.page(where=where, **paging)
        return [StoreFile.model_validate(data) for data in page.data], page.has_more

    async def change_file(self, file: StoreFile, **values: Any) -> StoreFile:
        """Replace some of what is written of a file."""
        changed = await self._files.change(file.id, lambda data: {**data, **values})
        return StoreFile.model_validate(changed)

    async def hold(self, file: StoreFile, lease: Data, *, instead_of: Data | None = None) -> bool:
        """Write a lease on a file in progress: the holder's own anew, or one in place of another. Gives False, with
        nothing changed, where the file is in other hands or done."""

        def held(data: Data) -> Data:
            now = data.get("lease")
            own = now is not None and now["token"] == lease["token"]
            return {**data, "lease": lease} if own or now == instead_of else data

        try:
            data = await self._files.change(file.id, held, where=[Where("status", "=", "in_progress")])
        except NotFound:
            return False
        return bool(data.get("lease") == lease)

    async def settle(
        self, file: StoreFile, status: FileStatus, *, fault: FileFault | None = None, used: int = 0
    ) -> bool:
        """Say where a file that was in progress has come to, and count it so. Gives False, with nothing changed, where
        it was not in progress any more."""
        last = fault.model_dump() if fault else None
        if not await self._settle(file, {"status": status, "last_error": last, "usage_bytes": used}):
            return False
        await self.change_store(file.store, lambda data: _counted(data, "in_progress", status, 1, used))
        if file.batch is not None:
            await self._batches.change(file.batch, lambda data: _counted(data, "in_progress", status, 1))
        return True

    async def cancel(self, batch: Batch, files: Sequence[StoreFile]) -> None:
        """Say that a batch was stopped, with those of its files that are in progress."""
        settled = await asyncio.gather(*(self._settle(file, {"status": "cancelled"}) for file in files))
        number = sum(settled)
        await self.change_store(batch.store, lambda data: _counted(data, "in_progress", "cancelled", number))
        await self._batches.change(
            batch.id, lambda data: {**_counted(data, "in_progress", "cancelled", number), "cancelled": True}
        )

    async def _settle(self, file: StoreFile, values: Data) -> bool:
        try:
            await self._files.change(
                file.id,
                lambda data: {**data, **values},
                where=[Where("status", "=", "in_progress")],
                status=values["status"],
            )
        except NotFound:
            return False
        return True

    async def remove_file(self, file: StoreFile) -> None:
        """Forget a file of a store."""
        await self._files.remove(file.id)
        await self.change_store(file.store, lambda data: _counted(data, file.status, None, 1, -file.usage_bytes))

    # ---- batches

    async def add_batch(self, batch: Batch) -> None:
        """Write down a new batch."""
        await self._batches.add(batch.model_dump(mode="json"), store=batch.store)

    async def batch(self, store: str, id: str) -> Batch:
        """A batch of a store.

        Raises:
            UnknownId: the store has none of this id; names the nearest.
        """
        return Batch.model_validate(await self._batches.get(id, where=[Where("store", "=", store)]))

    # ---- counts that a stack which ended between two writes left wrong

    async def sound_store(self, store: Store) -> Store:
        """A store with its counts right: counted anew where it says that files are in progress and none is."""
        if not store.file_counts.in_progress or await self._working([Where("store", "=", store.id)]):
            return store
        rows, _ = await self.files([Where("store", "=", store.id)], limit=None)
        counts = _counts(rows)
        used = sum(row.usage_bytes for row in rows)
        return await self.change_store(store.id, lambda data: {**data, "file_counts": counts, "usage_bytes": used})

    async def sound_batch(self, batch: Batch) -> Batch:
        """As `sound_store`. Files of the batch that were taken out of the store meanwhile count as cancelled."""
        within = [Where("batch", "=", batch.id)]
        if not batch.file_counts.in_progress or await self._working(within):
            return batch
        rows, _ = await self.files(within, limit=None)
        counts, total = _counts(rows), batch.file_counts.total
        counts |= {"cancelled": counts["cancelled"] + total - counts["total"], "total": total}
        return Batch.model_validate(await self._batches.change(batch.id, lambda data: {**data, "file_counts": counts}))

    async def _working(self, within: Sequence[Where]) -> bool:
        found, _ = await self.files([*within, Where("status", "=", "in_progress")], limit=1)
        return bool(found)

    def _keep(self, data: Data) -> Store:
        store = Store.model_validate(data)
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[store.id] = (time.monotonic(), store)
        return store


def _visible() -> Sequence[Where]:
    me = context.owner()
    return [] if me is None else [Where("owner", "in", [me, SHARED])]


def _may_see(owner: str | None) -> bool:
    me = context.owner()
    return me is None or owner in (me, SHARED)


def _counts(files: Sequence[StoreFile]) -> dict[str, int]:
    """Files by where they stand."""
    counts = {**FileCounts().model_dump(), "total": len(files)}
    for file in files:
        counts[file.status] += 1
    return counts


def _counted(data: Data, before: str | None, after: str | None, number: int, used: int = 0) -> Data:
    """A store's or a batch's document after so many files went from one state to another (None: not there)."""
    counts = dict(data["file_counts"])
    if before is not None:
        counts[before] -= number
    else:
        counts["total"] += number
    if after is not None:
        counts[after] += number
    else:
        counts["total"] -= number
    if "usage_bytes" not in data:
        return {**data, "file_counts": counts}
    return {**data, "file_counts": counts, "usage_bytes": max(0, data["usage_bytes"] + used)}
