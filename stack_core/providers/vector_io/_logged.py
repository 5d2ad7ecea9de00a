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
from stack_core.providers.vector_io._filters import storable
from stack_core.providers.vector_io._tails import FRESH, Tails
from stack_core.storage.kv import KeyValue
from stack_core.storage.references import KVReference

if TYPE_CHECKING:
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
    """An open collection: its entries in memory and the rows of its log. `lock` lets one write at a time, in the order
    of the log."""

    name: str
    flat: Flat
    log: str
    tails: Tails
    keys: list[str] = field(default_factory=list)
    next: int = 0
    dropped: bool = False
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
    workers, else after a second. Each holds all vectors: `inline::sqlite-vec` needs less memory in several processes.
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
                await self._store.set(_row_of(collection), json.dumps(row))
            elif found[0] != dimension:
                raise Conflict(
                    f"the collection {collection!r} holds vectors of {found[0]}, not of {dimension}",
                    "name another one, or drop it first",
                )

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries."""
        async with self._lock(collection):
            if (opened := self._open.pop(collection, None)) is not None:
                async with opened.lock:
                    opened.dropped = True
            found = await self._described(collection)
            if found is None:
                return
            await self._store.delete(_row_of(collection))  # first: a log without its collection is never read
            await self._tails(found[1]).forget()
            while page := await self._store.scan(found[1], limit=PAGE):
                await asyncio.gather(*(self._store.delete(key) for key, _ in page))

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries, all or none; one of the same id is replaced."""
        found = await self._opened(collection)
        if entries:
            batch = await asyncio.to_thread(found.flat.batch, entries)
            text = await asyncio.to_thread(batch.to_json)
            await asyncio.shield(self._append(found, "put", text, lambda: found.flat.put(batch)))

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries."""
        found = await self._opened(collection)
        if here := found.flat.known(ids):
            text = json.dumps({"remove": here})
            await asyncio.shield(self._append(found, "remove", text, lambda: found.flat.remove(here)))

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

    async def _append(self, found: _Collection, kind: str, text: str, apply: Callable[[], None]) -> None:
        """Write a row, then do in memory what it says. Not to be cancelled in between."""
        async with found.lock:
            if found.dropped:
                raise UnknownId("vector collection", found.name, hint="it was dropped while this call waited")
            key = found.key(kind)
            await self._store.set(key, text)
            await found.tails.wrote(found.next)
            found.keys.append(key)
            await asyncio.to_thread(apply)
            if found.flat.dead > max(LEAST_DEAD, found.flat.rows // 2):
                await self._compact(found)

    async def _compact(self, found: _Collection) -> None:
        """Write what lives anew, then delete the old log: puts before removals, so that nothing removed comes back
        where this breaks off in between."""
        old, fresh = found.keys, found.flat.empty()
        found.keys = []
        for batch in await asyncio.to_thread(lambda: list(found.flat.batches())):
            key = found.key("put")
            await self._store.set(key, await asyncio.to_thread(batch.to_json))
            found.keys.append(key)
            await asyncio.to_thread(fresh.put, batch)
        found.flat = fresh
        for kind in ("put", "remove"):
            await asyncio.gather(*(self._store.delete(key) for key in old if key.endswith(kind)))
        await found.tails.wrote(found.next, anew=True)

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
                described = await self._described(collection)
                if described is None:
                    rows = await self._store.scan(_row_of(""))
                    raise UnknownId(
                        "vector collection", collection, [unquote(key[len(_row_of("")) :]) for key, _ in rows]
                    )
                flat = await asyncio.to_thread(self._flat, described[0])
                found = _Collection(collection, flat, described[1], self._tails(described[1]))
                await found.tails.begin()
                await self._read(found)
                self._open[collection] = found
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
        """Read what other processes wrote since; False where one of them wrote the log anew, so that all is to be
        read."""
        async with found.lock:
            moved = await found.tails.moved()
            if moved is None:
                return True
            number, anew = moved
            if not anew:
                await self._read(found, f"{found.log}{number:012d}/")
                return True
            if self._open.get(found.name) is found:
                del self._open[found.name]
            return False

    def _tails(self, log: str) -> Tails:
        return Tails(self._store, log, self._patience)

    async def _read(self, found: _Collection, after: str | None = None) -> None:
        while page := await self._store.scan(found.log, after=after, limit=PAGE):
            await asyncio.to_thread(_replay, found, page)
            after = page[-1][0]

    def _lock(self, collection: str) -> asyncio.Lock:
        return self._opening.setdefault(collection, asyncio.Lock())


def _replay(found: _Collection, page: list[tuple[str, str]]) -> None:
    known = set(found.keys)
    for key, text in page:
        if key in known:
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
        found.keys.append(key)


def _damaged(collection: str, key: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"a row of the collection {collection!r} is damaged: {key} ({type(error).__name__}: {error})",
        "restore a copy of the store, or drop the vector store and put its files in again",
    )


def _row_of(collection: str) -> str:
    return f"collection{SEPARATOR}{quote(collection, safe='')}"
