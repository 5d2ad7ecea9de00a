"""Vectors and words in one SQLite file, by sqlite-vec and FTS5."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis.vector_io import Entry, Filter, Hit, VectorIndex
from stack_core.errors import ConfigError, Conflict, InvalidRequest, StoreUnavailable, UnknownId
from stack_core.providers._registry import provider
from stack_core.providers.vector_io._batch import Batch, direction, directions, positive
from stack_core.providers.vector_io._filters import restored, storable, stored, to_sqlite
from stack_core.providers.vector_io._vec_file import VecFile
from stack_core.providers.vector_io._words import TOKENIZER, expression
from stack_core.storage.references import KVReference

if TYPE_CHECKING:
    import apsw

VERSION = 1
"""Of the tables. A collection of a later version is refused."""
MOST_BY_INDEX = 4096
"""The greatest k that sqlite-vec's own search takes; above it every vector is compared by a plain query."""
MOST_DIMENSIONS = 8192
"""Of sqlite-vec."""
SAMPLE = {"db_path": "${env.SQLITE_STORE_DIR:=__distro_dir__}/sqlite_vec.db"}

_CATALOG = """CREATE TABLE IF NOT EXISTS stack_vector_collections (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, dimension INTEGER NOT NULL,
    version INTEGER NOT NULL)"""
_HIT = "entry.id, entry.text, entry.attributes, entry.payload"


class _Tables(NamedTuple):
    """The tables of a collection. `entries` has the books, `vectors` and `words` the same rows by number."""

    number: int
    dimension: int

    @property
    def entries(self) -> str:
        return f"stack_entries_{self.number}"

    @property
    def vectors(self) -> str:
        return f"stack_vectors_{self.number}"

    @property
    def words(self) -> str:
        return f"stack_words_{self.number}"


@provider("inline::sqlite-vec", packages=("apsw", "sqlite_vec"), extra="sqlite-vec", sample=SAMPLE)
@provider("inline::sqlite_vec", packages=("apsw", "sqlite_vec"), extra="sqlite-vec", sample=SAMPLE)
class SqliteVec(VectorIndex):
    """Exact search by sqlite-vec, words by FTS5, filters in SQL: all in one file and in one transaction.

    The SQLite is apsw's own, so that it does not matter whether Python's can load extensions. Several processes may
    read and write one file and see each other's writes.
    """

    class Config(BaseModel):
        """The file. It keeps its own list of collections, so Llama Stack's `persistence` is read and not needed."""

        model_config = ConfigDict(extra="forbid")
        db_path: str = Field(
            "~/.llama/runtime/sqlite_vec.db", description="Path of the file; `~` is expanded, `:memory:` keeps nothing."
        )
        persistence: KVReference | None = Field(None, description="Not needed: the file lists its collections itself.")

    def __init__(self, config: Config) -> None:
        if not config.db_path or "\0" in config.db_path:
            raise ConfigError("db_path must be the path of a file", "name one, such as ~/.llama/sqlite_vec.db")
        self._path = config.db_path
        self._opened: VecFile | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> SqliteVec:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await asyncio.to_thread(self._opened.close)

    async def create(self, collection: str, dimension: int) -> None:
        """Make a collection; one of the same dimension that is there already is kept."""
        storable(collection, collection)
        if not 1 <= dimension <= MOST_DIMENSIONS:
            raise InvalidRequest(
                f"sqlite-vec takes vectors of 1 to {MOST_DIMENSIONS} dimensions, not of {dimension}",
                "give the embedding model's dimension",
            )
        await (await self._file()).write(lambda connection: _create(connection, collection, dimension))

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries."""
        await (await self._file()).write(lambda connection: _drop(connection, collection))

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries, all or none; one of the same id is replaced."""
        await (await self._file()).write(lambda connection: _put(connection, collection, entries))

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries."""
        await (await self._file()).write(lambda connection: _remove(connection, _tables(connection, collection), ids))

    async def nearest(
        self, collection: str, vector: Sequence[float], most: int, where: Filter | None = None
    ) -> list[Hit]:
        """The entries nearest to a vector by cosine similarity, best first."""
        return await (await self._file()).read(lambda found: _nearest(found, collection, vector, positive(most), where))

    async def matching(self, collection: str, words: str, most: int, where: Filter | None = None) -> list[Hit]:
        """The entries whose text has any of these words, by BM25."""
        return await (await self._file()).read(lambda found: _matching(found, collection, words, positive(most), where))

    async def entries(
        self, collection: str, ids: Sequence[str] | None = None, where: Filter | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries in the order of their putting."""
        return await (await self._file()).read(lambda found: _entries(found, collection, ids, where, limit))

    async def _file(self) -> VecFile:
        """The file, opened at its first use; a failure is told again at the next try."""
        async with self._opening:
            if self._opened is not None and self._opened.gone():
                lost, self._opened = self._opened, None
                await asyncio.to_thread(lost.close)
                raise StoreUnavailable(
                    f"the store {lost.path} was moved or deleted while it was open",
                    "put it back; the next call opens what is there then, or begins a new one",
                )
            if self._opened is None:
                self._opened = await asyncio.to_thread(VecFile, self._path)
            return self._opened


def _create(connection: apsw.Connection, collection: str, dimension: int) -> None:
    connection.execute(_CATALOG)
    found = _find(connection, collection)
    if found is not None:
        if found.dimension != dimension:
            raise Conflict(
                f"the collection {collection!r} holds vectors of {found.dimension}, not of {dimension}",
                "name another one, or drop it first",
            )
        return
    connection.execute(
        "INSERT INTO stack_vector_collections(name, dimension, version) VALUES (?, ?, ?)",
        (collection, dimension, VERSION),
    )
    made = _Tables(connection.last_insert_rowid(), dimension)
    connection.execute(
        f"CREATE TABLE {made.entries} (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,"
        " attributes TEXT NOT NULL, payload TEXT NOT NULL, length REAL NOT NULL)"
    )
    connection.execute(f"CREATE VIRTUAL TABLE {made.vectors} USING vec0(vector float[{dimension}])")
    connection.execute(
        f"CREATE VIRTUAL TABLE {made.words} USING fts5(text, content='', contentless_delete=1, tokenize='{TOKENIZER}')"
    )


def _drop(connection: apsw.Connection, collection: str) -> None:
    connection.execute(_CATALOG)
    found = _find(connection, collection)
    if found is not None:
        for table in (found.entries, found.vectors, found.words):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM stack_vector_collections WHERE number = ?", (found.number,))


def _put(connection: apsw.Connection, collection: str, entries: Sequence[Entry]) -> None:
    tables = _tables(connection, collection)
    batch = Batch.of(entries, tables.dimension)
    _remove(connection, tables, batch.ids)
    units, lengths = directions(batch.vectors)
    first = (connection.execute(f"SELECT max(number) FROM {tables.entries}").get or 0) + 1
    numbers = range(first, first + len(batch))
    attributes = [stored(row) for row in batch.attributes]
    connection.executemany(
        f"INSERT INTO {tables.entries} VALUES (?, ?, ?, ?, ?, ?)",
        zip(numbers, batch.ids, batch.texts, attributes, batch.payloads, lengths.tolist(), strict=True),
    )
    connection.executemany(
        f"INSERT INTO {tables.vectors}(rowid, vector) VALUES (?, ?)",
        ((number, unit.tobytes()) for number, unit in zip(numbers, units, strict=True)),
    )
    connection.executemany(
        f"INSERT INTO {tables.words}(rowid, text) VALUES (?, ?)", zip(numbers, batch.texts, strict=True)
    )


def _remove(connection: apsw.Connection, tables: _Tables, ids: Sequence[str]) -> None:
    rows = connection.execute(f"SELECT number FROM {tables.entries} WHERE id IN {_LISTED}", (json.dumps(list(ids)),))
    numbers = list(rows)
    for table, key in ((tables.entries, "number"), (tables.vectors, "rowid"), (tables.words, "rowid")):
        connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", numbers)


_LISTED = "(SELECT value FROM json_each(?))"


def _nearest(
    connection: apsw.Connection, collection: str, vector: Sequence[float], most: int, where: Filter | None
) -> list[Hit]:
    tables = _tables(connection, collection)
    query = direction(vector, tables.dimension).tobytes()
    condition, values = _condition(where)
    joined = f"FROM {tables.vectors} AS near JOIN {tables.entries} AS entry ON entry.number = near.rowid"
    if most > MOST_BY_INDEX:
        text = f"SELECT {_HIT}, vec_distance_l2(near.vector, ?) AS distance {joined} WHERE {condition}"
        rows = connection.execute(f"{text} ORDER BY distance LIMIT ?", (query, *values, most))
    else:
        text = f"SELECT {_HIT}, near.distance {joined} WHERE near.vector MATCH ? AND near.k = ?"
        if where is not None:
            text += f" AND near.rowid IN (SELECT number FROM {tables.entries} AS entry WHERE {condition})"
        rows = connection.execute(f"{text} ORDER BY near.distance", (query, most, *values))
    # of vectors of length one the distance tells the cosine, and is what sqlite-vec computes fastest
    return [_hit(row, max(-1.0, 1.0 - row[4] * row[4] / 2)) for row in rows]


def _matching(connection: apsw.Connection, collection: str, words: str, most: int, where: Filter | None) -> list[Hit]:
    tables, query = _tables(connection, collection), expression(words)
    if not query:
        return []
    condition, values = _condition(where)
    rows = connection.execute(
        f"SELECT {_HIT}, -found.rank FROM {tables.words} AS found"
        f" JOIN {tables.entries} AS entry ON entry.number = found.rowid"
        f" WHERE {tables.words} MATCH ? AND {condition} ORDER BY found.rank LIMIT ?",
        (query, *values, most),
    )
    return [_hit(row, row[4]) for row in rows]


def _entries(
    connection: apsw.Connection, collection: str, ids: Sequence[str] | None, where: Filter | None, limit: int | None
) -> list[Entry]:
    tables = _tables(connection, collection)
    condition, values = _condition(where)
    if ids is not None:
        condition, values = f"entry.id IN {_LISTED} AND {condition}", [json.dumps(list(ids)), *values]
    rows = connection.execute(
        f"SELECT {_HIT}, entry.length, (SELECT vector FROM {tables.vectors} WHERE rowid = entry.number)"
        f" FROM {tables.entries} AS entry WHERE {condition} ORDER BY entry.number LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    return [
        Entry(id, text, (np.frombuffer(unit, np.float32) * np.float32(length)).tolist(), restored(attributes), payload)
        for id, text, attributes, payload, length, unit in rows
    ]


def _condition(where: Filter | None) -> tuple[str, list[Any]]:
    return ("1", []) if where is None else to_sqlite(where, "entry.attributes")


def _hit(row: Any, score: float) -> Hit:
    id, text, attributes, payload = row[:4]
    return Hit(id, text, score, restored(attributes), payload)


def _tables(connection: apsw.Connection, collection: str) -> _Tables:
    """The tables of a collection.

    Raises:
        UnknownId: no such collection; names the nearest.
    """
    found = _find(connection, collection)
    if found is None:
        raise UnknownId("vector collection", collection, [row[3] for row in _catalog(connection, "")])
    return found


def _find(connection: apsw.Connection, collection: str) -> _Tables | None:
    storable(collection, collection)
    rows = _catalog(connection, "WHERE name = ?", collection)
    if not rows:
        return None
    row = rows[0]
    if row[2] > VERSION:
        raise StoreUnavailable(
            f"the collection {collection!r} was written by a later version ({row[2]}; this one knows {VERSION})",
            "update llama-magics",
        )
    return _Tables(row[0], row[1])


def _catalog(connection: apsw.Connection, condition: str, *values: str) -> list[Any]:
    """Collections as (number, dimension, version, name); none in a file that never had one."""
    import apsw

    try:
        query = f"SELECT number, dimension, version, name FROM stack_vector_collections {condition}"
        return connection.execute(query, values).fetchall()
    except apsw.SQLError as error:
        if "no such table" in str(error):
            return []
        raise
