"""Vectors in memory, kept in the stack's own key-value store: what the indexes in memory share."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field

from stack_core import context
from stack_core.apis.vector_io import Entry, Filter, Hit, VectorIndex
from stack_core.errors import Conflict, InvalidRequest, StoreUnavailable, UnknownId
from stack_core.providers.vector_io._bases import FIRST, Bases, Standing
from stack_core.providers.vector_io._filters import storable
from stack_core.providers.vector_io._tails import FRESH, Tails
from stack_core.storage.kv import KeyValue
from stack_core.storage.references import KVReference

if TYPE_CHECKING:
    from stack_core.providers.vector_io._batch import Batch
    from stack_core.providers.vector_io._flat import Flat  # numpy is loaded by the first collection, not by the stack

VERSION = 1
"""Of what is written. A collection of a later version is refused."""
LEAST_DEAD = 1024
"""Dead rows below which a collection is not written anew."""
PAGE = 32
"""Rows of the log that are read together."""
SEPARATOR = "/"


@dataclass(slots=True, eq=False)
class _Collection:
    """An open collection: its entries in memory and the rows of its log, `keys` those that were replayed, `left` those
    that do not count and may be deleted. `lock` lets one write at a time, in the order of the log."""

    name: str
    flat: Flat
    log: str
    tails: Tails
    bases: Bases
    standing: Standing
    keys: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    next: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def key(self, kind: str) -> str:
        """A new row at the end of the log. Its writer's name keeps two processes from writing over one another."""
        self.next += 1
        return f"{self.log}{self.next:012d}.{self.tails.writer}.{kind}"


class LoggedConfig(BaseModel):
    """Where the entries are kept; in the first key-value backend when nothing is said."""

    model_config = ConfigDict(extra="forbid")
    persistence: KVReference | None = Field(None, description="Namespace and backend of the entries.")


class Logged(VectorIndex):
    """Exact search over vectors in memory; words by SQLite's FTS5, also in memory.

    What is put is one row of the key-value store, so the speed of inserting does not fall as a collection grows, and a
    put that returned is as durable as that store. A collection is read into memory at its first use: about a second for
    100,000 vectors of 384. What another process writes is read at the next call, where the stack is served by several
    workers, else after a second and before each write. Each holds all vectors: `inline::sqlite-vec` needs less memory
    in several processes.
    """

    Config = LoggedConfig
    matrix: ClassVar[str]
    """What searches the vectors: one of `_flat.MATRICES`."""

    def __init__(self, config: LoggedConfig, persistence: KeyValue) -> None:
        self._store = persistence
        self._patience = 0.0 if context.shared.get() else FRESH
        self._open: dict[str, _Collection] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def create(self, collection: str, dimension: int) -> None:
        """Make a collection; one of the same dimension that is there already is kept."""
        storable(collection, collection)
        if dimension < 1:
            raise InvalidRequest(f"a vector cannot have {dimension} dimensions", "give the embedding model's dimension")
        async with self._lock(collection):
            found = await self._described(collection)
            if found is None:
                log = f"log{SEPARATOR}{secrets.token_hex(8)}{SEPARATOR}"
                row = {"version": VERSION, "dimension": dimension, "log": log}
                await self._tails(log).wrote(0)
                await self._store.set(_row_of(collection), json.dumps(row))
            elif found[0] != dimension:
                raise Conflict(
                    f"the collection {collection!r} holds vectors of {found[0]}, not of {dimension}",
                    "name another one, or drop it first",
                )

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries."""
        async with self._lock(collection):
            opened = self._open.pop(collection, None)
            async with opened.lock if opened is not None else asyncio.Lock():  # after the write that is under way
                found = await self._described(collection)
                if found is not None:
                    await self._store.delete(_row_of(collection))  # first: a log without its collection is never read
                    await self._erase(found[1])

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries, all or none; one of the same id is replaced."""
        found = await self._opened(collection)
        if entries:
            batch, text = await asyncio.to_thread(_prepared, found.flat, entries)
            await asyncio.shield(self._append(collection, "put", lambda _: text, lambda flat: flat.put(batch)))

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries."""

        def row(flat: Flat) -> str | None:
            return json.dumps({"remove": here}) if (here := flat.known(ids)) else None

        await asyncio.shield(self._append(collection, "remove", row, lambda flat: flat.remove(ids)))

    async def nearest(
        self, collection: str, vector: Sequence[float], most: int, where: Filter | None = None
    ) -> list[Hit]:
        """The entries nearest to a vector by cosine similarity, best first."""
        found = await self._opened(collection)
        if found.flat.small:
            return found.flat.nearest(vector, most, where)
        return await asyncio.to_thread(found.flat.nearest, vector, most, where)

    async def matching(self, collection: str, words: str, most: int, where: Filter | None = None) -> list[Hit]:
        """The entries whose text has any of these words, by BM25."""
        found = await self._opened(collection)
        return await asyncio.to_thread(found.flat.matching, words, most, where)

    async def entries(
        self, collection: str, ids: Sequence[str] | None = None, where: Filter | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries in the order of their putting."""
        found = await self._opened(collection)
        return await asyncio.to_thread(found.flat.entries, ids, where, limit)

    # ---- the log -----------------------------------------------------------------------------------------------------

    async def _append(
        self, collection: str, kind: str, row: Callable[[Flat], str | None], apply: Callable[[Flat], None]
    ) -> None:
        """Write a row, then do in memory what it says. Not to be cancelled in between.

        Args:
            row: gives its text, or None where there is nothing to do.
        """
        while True:
            found = await self._opened(collection)
            async with found.lock:
                if not await self._level(found, now=True):
                    continue
                if (text := row(found.flat)) is None:
                    return
                key = found.key(kind)
                await self._store.set(key, text)
                found.keys.add(key)
                told = asyncio.ensure_future(found.tails.wrote(found.next))
                await asyncio.to_thread(apply, found.flat)
                await told
                if found.flat.dead > max(LEAST_DEAD, found.flat.rows // 2) and await found.bases.claim():
                    try:
                        await self._write_anew(found)
                    finally:
                        await found.bases.release()
                return

    async def _write_anew(self, found: _Collection) -> None:
        """Put a base that holds what lives into the place of the log (see `_bases`), unless another process did."""
        if not await self._level(found, now=True) or (await found.bases.standing()).bases != found.standing.bases:
            self._close(found)
            return
        base, old, fresh = secrets.token_hex(4), found.keys | found.left, found.flat.empty()
        keys: set[str] = set()
        for number, batch in enumerate(await asyncio.to_thread(lambda: list(found.flat.batches()))):
            key = f"{found.log}{FIRST}{base}.{number:06d}.put"
            keys.add(key)
            found.left.add(key)  # where this breaks off, the next one deletes it
            await self._store.set(key, await asyncio.to_thread(batch.to_json))
            await asyncio.to_thread(fresh.put, batch)
        if not await found.bases.claimed():
            self._close(found)
            return
        await found.bases.stand(base, found.standing, old)
        found.flat, found.keys, found.left = fresh, keys, old
        found.standing = Standing(found.log, frozenset({base}), frozenset(old))
        await found.tails.wrote(found.next, anew=True)  # before the deleting: who reads until then reads once more
        for start in range(0, len(gone := sorted(old)), PAGE):
            await asyncio.gather(*(self._store.delete(key) for key in gone[start : start + PAGE]))
        await found.bases.stand_alone(base)
        found.left = set()

    async def _opened(self, collection: str) -> _Collection:
        """The collection, read into memory at its first use.

        Raises:
            UnknownId: there is none of this name; names the nearest.
            StoreUnavailable: a row of its log is damaged.
        """
        if (found := self._open.get(collection)) is not None and await self._caught_up(found):
            return found
        async with self._lock(collection):
            if (found := self._open.get(collection)) is None:
                found = self._open[collection] = await self._from_log(collection)
            return found

    async def _from_log(self, collection: str) -> _Collection:
        """A collection read from its beginning; once more where another process wrote its log anew meanwhile."""
        while True:
            described = await self._described(collection)
            if described is None:
                rows = await self._store.scan(_row_of(""))
                raise UnknownId("vector collection", collection, [unquote(key[len(_row_of("")) :]) for key, _ in rows])
            dimension, log = described
            tails = self._tails(log)
            start, bases = await tails.begin(), Bases(self._store, log, tails.writer)
            flat = await asyncio.to_thread(self._flat, dimension)
            found = _Collection(collection, flat, log, tails, bases, await bases.standing(), next=start)
            await self._read(found)
            moved = await tails.moved(now=True)
            if moved is None or not moved.anew:
                return found

    def _flat(self, dimension: int) -> Flat:
        from stack_core.providers.vector_io._flat import Flat

        return Flat(dimension, self.matrix)

    async def _described(self, collection: str) -> tuple[int, str] | None:
        """A collection's dimension and where its log is."""
        text = await self._store.get(_row_of(collection))
        if text is None:
            return None
        try:
            row = json.loads(text)
            version, described = int(row["version"]), (int(row["dimension"]), str(row["log"]))
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(collection, _row_of(collection), error) from error
        if version > VERSION:
            raise StoreUnavailable(
                f"the collection {collection!r} was written by a later version ({version}; this one knows {VERSION})",
                "update llama-magics",
            )
        return described

    async def _caught_up(self, found: _Collection) -> bool:
        """As `_level`."""
        async with found.lock:
            return await self._level(found)

    async def _level(self, found: _Collection, *, now: bool = False) -> bool:
        """Read what other processes wrote since, with the collection's lock held; False where one of them wrote the
        log anew or dropped it, so that the collection is to be opened again."""
        moved = await found.tails.moved(now=now)
        if moved is None:
            return True
        if not moved.anew:
            await self._read(found, f"{found.log}{moved.number:012d}/")
            found.tails.read()
            return True
        self._close(found)
        described = await self._described(found.name)
        if described is None or described[1] != found.log:
            await self._erase(found.log)  # what was written while it was being dropped
        return False

    def _close(self, found: _Collection) -> None:
        if self._open.get(found.name) is found:
            del self._open[found.name]

    async def _erase(self, log: str) -> None:
        """Delete a log that belongs to no collection any more."""
        await self._tails(log).forget()
        await Bases(self._store, log, "").forget_all()
        while page := await self._store.scan(log, limit=PAGE):
            await asyncio.gather(*(self._store.delete(key) for key, _ in page))

    def _tails(self, log: str) -> Tails:
        return Tails(self._store, log, self._patience)

    async def _read(self, found: _Collection, after: str | None = None) -> None:
        while page := await self._store.scan(found.log, after=after, limit=PAGE):
            await asyncio.to_thread(_replay, found, page)
            after = page[-1][0]

    def _lock(self, collection: str) -> asyncio.Lock:
        return self._opening.setdefault(collection, asyncio.Lock())


def _prepared(flat: Flat, entries: Sequence[Entry]) -> tuple[Batch, str]:
    batch = flat.batch(entries)
    return batch, batch.to_json()


def _replay(found: _Collection, page: list[tuple[str, str]]) -> None:
    for key, text in page:
        if key in found.keys or key in found.left:
            continue
        if not found.standing.counts(key):
            found.left.add(key)
            continue
        try:
            row = json.loads(text)
            if key.endswith("remove"):
                found.flat.remove(row["remove"])
            else:
                found.flat.replay(row)
            found.next = max(found.next, int(key[len(found.log) :].partition(".")[0]))
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(found.name, key, error) from error
        found.keys.add(key)


def _damaged(collection: str, key: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"a row of the collection {collection!r} is damaged: {key} ({type(error).__name__}: {error})",
        "restore a copy of the store, or drop the vector store and put its files in again",
    )


def _row_of(collection: str) -> str:
    return f"collection{SEPARATOR}{quote(collection, safe='')}"
