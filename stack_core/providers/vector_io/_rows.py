"""A vector index over any database that keeps rows of a vector and plain fields.

A database joins by the few blocking calls of `Rows`; what the contract asks beyond them is done here, once: names and
ids of any text, kinds of values, the order of putting, filters that a database does only in part, refusals.

A row has a `book`, the entry as JSON text. An entry's place in the order is the time of its putting, so the clocks of
several processes that write one collection must agree.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np

from stack_core.apis.vector_io import Entry, Filter, Hit, VectorIndex
from stack_core.errors import Conflict, InvalidRequest, ProviderUnavailable, StackError, UnknownId
from stack_core.providers.vector_io._batch import Array, Batch, direction, directions, positive
from stack_core.providers.vector_io._filters import kinded, predicate, storable
from stack_core.providers.vector_io._narrow import Narrow, digest, fields, narrowed
from stack_core.providers.vector_io._ranking import asked

T = TypeVar("T")
PREFIX, LONGEST_NAME = "stack_", 200
"""How our tables' names begin, and how long they may be: what every database takes."""
WIDER = 4
"""How many times more is asked for where a filter left too few."""
_PLAIN = re.compile("[a-z0-9]")
_CODED = re.compile("_([0-9a-f]{2})")


@dataclass(slots=True)
class Row:
    """An entry on its way into a database. `unit` is the vector brought to length one, (dimension,)."""

    key: str
    """A UUID, made of the entry's id."""
    book: str
    fields: dict[str, str | float]
    unit: Array
    text: str


Found = list[tuple[str, float]]
"""Books with their scores, best first."""


class Rows(Protocol):
    """What a database does, in blocking calls from several threads. `table` is a name of small letters, digits and
    underscores; `narrow` is a condition on the rows' fields, None for every row."""

    def tables(self) -> list[str]:
        """The names of all tables."""
        ...

    def dimension(self, table: str) -> int | None:
        """Of the vectors of a table; None where there is no such table."""
        ...

    def make(self, table: str, dimension: int) -> None:
        """Make a table; one that is there already is kept."""
        ...

    def drop(self, table: str) -> None:
        """Forget a table that is there."""
        ...

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows or replace those of the same key."""
        ...

    def delete(self, table: str, keys: Sequence[str]) -> None:
        """Forget rows; keys that are not there are no fault."""
        ...

    def near(self, table: str, unit: Array, most: int, narrow: Narrow | None) -> Found:
        """The `most` nearest rows by cosine similarity."""
        ...

    def worded(self, table: str, words: Sequence[str], most: int, narrow: Narrow | None) -> Found:
        """The `most` rows that fit these words best. More, or rows beyond `narrow`, only where that is every row with
        one of the words."""
        ...

    def read(self, table: str, keys: Sequence[str] | None, narrow: Narrow | None) -> list[tuple[str, Sequence[float]]]:
        """Books with their unit vectors: of the rows with these keys, or of all."""
        ...

    def close(self) -> None:
        """Let the database go."""
        ...


class RowIndex(VectorIndex):
    """A vector index over `Rows`, which are opened at the first use and closed at the end."""

    most_dimensions = 65_536

    def __init__(self, place: str, provider_id: str, *, threads: int) -> None:
        """
        Args:
            place: what the database is called in errors.
            threads: how many calls run at once.
        """
        self.place, self.provider_id = place, provider_id
        self._threads = ThreadPoolExecutor(threads, "stack-vectors")
        self._opening = threading.Lock()
        self._opened: Rows | None = None
        self._last = 0

    def open(self) -> Rows:
        """Open the database; blocks. A provider says how."""
        raise NotImplementedError

    def translated(self, error: Exception) -> StackError | None:
        """A fault of the database's client as an error of ours; None where it is a mistake of this program."""
        raise NotImplementedError

    def unavailable(
        self, said: object, hint: str = "see that the server runs and can be reached, then call again"
    ) -> ProviderUnavailable:
        """The error for a database that cannot be used."""
        return ProviderUnavailable(f"{self.place} cannot be used: {said}", hint, provider_id=self.provider_id)

    async def __aenter__(self) -> RowIndex:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        if self._opened is not None:
            await asyncio.to_thread(self._opened.close)

    async def create(self, collection: str, dimension: int) -> None:
        """Make a collection; one of the same dimension that is there already is kept."""
        table = table_of(collection)
        if not 1 <= dimension <= self.most_dimensions:
            raise InvalidRequest(
                f"{self.place} takes vectors of 1 to {self.most_dimensions} dimensions, not of {dimension}",
                "give the embedding model's dimension",
            )

        def work(rows: Rows) -> None:
            found = rows.dimension(table)
            if found is None:
                rows.make(table, dimension)
                found = rows.dimension(table)
            if found is not None and found != dimension:
                raise Conflict(
                    f"the collection {collection!r} holds vectors of {found}, not of {dimension}",
                    "name another one, or drop it first",
                )

        await self._run(work)

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries."""
        table = table_of(collection)
        await self._run(lambda rows: rows.drop(table) if rows.dimension(table) is not None else None)

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries; one of the same id is replaced. All or none, as far as the database takes them in one call."""

        def work(rows: Rows) -> None:
            table, dimension = _known(rows, collection)
            if entries:
                rows.write(table, self._made(Batch.of(entries, dimension)))

        await self._run(work)

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries."""

        def work(rows: Rows) -> None:
            table, _ = _known(rows, collection)
            if ids:
                rows.delete(table, _keys(ids))

        await self._run(work)

    async def nearest(
        self, collection: str, vector: Sequence[float], most: int, where: Filter | None = None
    ) -> list[Hit]:
        """The entries nearest to a vector by cosine similarity, best first."""

        def work(rows: Rows) -> list[Hit]:
            table, dimension = _known(rows, collection)
            unit = direction(vector, dimension)
            return _enough(lambda asked, narrow: rows.near(table, unit, asked, narrow), positive(most), where)

        return [_clamped(hit) for hit in await self._run(work)]

    async def matching(self, collection: str, words: str, most: int, where: Filter | None = None) -> list[Hit]:
        """The entries whose text has any of these words, by BM25."""
        wanted = asked(words)

        def work(rows: Rows) -> list[Hit]:
            table, _ = _known(rows, collection)
            if not wanted:
                return []
            return _enough(lambda asked, narrow: rows.worded(table, wanted, asked, narrow), positive(most), where)

        return await self._run(work)

    async def entries(
        self, collection: str, ids: Sequence[str] | None = None, where: Filter | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries in the order of their putting."""

        def work(rows: Rows) -> list[Entry]:
            table, _ = _known(rows, collection)
            narrow, takes = narrowed(where), _test(where)
            if narrow is False or (ids is not None and not ids):
                return []
            found = rows.read(table, None if ids is None else _keys(ids), None if narrow is True else narrow)
            books = sorted(((json.loads(book), unit) for book, unit in found), key=lambda pair: pair[0][0])
            return [_entry(book, unit) for book, unit in books if takes(book[4])][:limit]

        return await self._run(work)

    async def _run(self, work: Callable[[Rows], T]) -> T:
        try:
            future: Future[T] = self._threads.submit(self._work, work)
        except RuntimeError as error:
            raise self.unavailable("it is closed", "open the stack again") from error
        return await asyncio.wrap_future(future)

    def _work(self, work: Callable[[Rows], T]) -> T:
        try:
            with self._opening:
                rows = self._opened = self._opened or self.open()
            return work(rows)
        except StackError:
            raise
        except Exception as error:
            if (told := self.translated(error)) is None:
                raise
            raise told from error

    def _made(self, batch: Batch) -> list[Row]:
        units, lengths = directions(batch.vectors)
        with self._opening:
            first = max(self._last + 1, time.time_ns())
            self._last = first + len(batch)
        out = []
        for place, id in enumerate(batch.ids):
            attributes = {k: pair[1] for k, v in batch.attributes[place].items() if (pair := kinded(v)) is not None}
            book = [first + place, float(lengths[place]), id, batch.texts[place], attributes, batch.payloads[place]]
            out.append(Row(_key(id), json.dumps(book), fields(attributes), units[place], batch.texts[place]))
        return out


def table_of(collection: str) -> str:
    """The name of a collection's table: other characters than small letters and digits as the bytes they are of.

    Raises:
        InvalidRequest: it is empty, too long or not valid Unicode.
    """
    storable(collection, collection)
    table = PREFIX + "".join(c if _PLAIN.match(c) else "".join(f"_{b:02x}" for b in c.encode()) for c in collection)
    if not collection or len(table) > LONGEST_NAME:
        raise InvalidRequest(f"{collection!r} is no name that the database takes", "give a short one")
    return table


def _collection_of(table: str) -> str:
    coded = table.removeprefix(PREFIX).encode("latin-1", "replace").decode("latin-1")
    return _CODED.sub(lambda found: chr(int(found[1], 16)), coded).encode("latin-1", "replace").decode(errors="replace")


def _known(rows: Rows, collection: str) -> tuple[str, int]:
    """The table of a collection and its dimension.

    Raises:
        UnknownId: no such collection; names the nearest.
    """
    table = table_of(collection)
    dimension = rows.dimension(table)
    if dimension is None:
        ours = [_collection_of(name) for name in rows.tables() if name.startswith(PREFIX)]
        raise UnknownId("vector collection", collection, sorted(ours))
    return table, dimension


def _enough(search: Callable[[int, Narrow | None], Found], most: int, where: Filter | None) -> list[Hit]:
    """The best `most` hits that a filter takes: asks for more until there are as many, or no more."""
    narrow, takes = narrowed(where), _test(where)
    if narrow is False:
        return []
    asked = most
    while True:
        found = search(asked, None if narrow is True else narrow)
        books = [(json.loads(book), score) for book, score in found]
        kept = [(book, score) for book, score in books if takes(book[4])]
        if len(kept) >= most or len(found) != asked:
            kept.sort(key=lambda pair: (-pair[1], pair[0][0]))
            return [Hit(book[2], book[3], score, book[4], book[5]) for book, score in kept[:most]]
        asked *= WIDER


def _test(where: Filter | None) -> Callable[[Any], bool]:
    return (lambda attributes: True) if where is None else predicate(where)


def _clamped(hit: Hit) -> Hit:
    hit.score = min(1.0, max(-1.0, hit.score))
    return hit


def _entry(book: Any, unit: Sequence[float]) -> Entry:
    vector = (np.asarray(unit, np.float32) * np.float32(book[1])).tolist()
    return Entry(book[2], book[3], vector, book[4], book[5])


def _keys(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(_key, ids)))


def _key(id: str) -> str:
    return str(uuid.UUID(digest(id)))
