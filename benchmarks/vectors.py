"""Vector indexes: putting in 100,000 rows and finding the nearest, beside raw numpy, faiss and sqlite-vec on the same
vectors, at the index itself and through the door: `vector_io.insert`, and `vector_stores.search` less its embedding
call. What ours does besides and the raw ones do not: texts, attributes, word search, durability."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.given_provider import DIMENSION, GIVEN
from benchmarks.measure import Figure
from stack_core import Stack
from stack_core.apis.vector_io import Entry, VectorIndex
from stack_core.providers._registry import find
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sqlite import open_sqlite

ROWS, BATCH, EARLY, MOST = 100_000, 100, 2_000, 10
EDGE = 1_000 // BATCH
"""Batches at the beginning and at the end whose speed is compared."""
QUERIES = {EARLY: 300, ROWS: 60}
WORDS = [f"word{number}" for number in range(5_000)]
Vectors = NDArray[np.float32]


class Raw(Protocol):
    """What an index is held against."""

    name: str

    def put(self, first: int, vectors: Vectors) -> None: ...

    def search(self, query: Vectors) -> None: ...


class RawNumpy:
    """One array, and nothing else; its room is there from the beginning."""

    name = "raw numpy"

    def __init__(self, folder: Path) -> None:
        self._rows = np.empty((ROWS, DIMENSION), np.float32)
        self._count = 0

    def put(self, first: int, vectors: Vectors) -> None:
        self._rows[self._count : self._count + len(vectors)] = vectors
        self._count += len(vectors)

    def search(self, query: Vectors) -> None:
        scores = self._rows[: self._count] @ query
        best = np.argpartition(scores, -MOST)[-MOST:]
        best[np.argsort(-scores[best])].tolist()


class RawFaiss:
    """A flat index in memory, and nothing else."""

    name = "raw faiss"

    def __init__(self, folder: Path) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(DIMENSION)

    def put(self, first: int, vectors: Vectors) -> None:
        self._index.add(vectors)

    def search(self, query: Vectors) -> None:
        self._index.search(query.reshape(1, -1), MOST)


class RawSqliteVec:
    """A table of vectors in a file, one transaction a batch, with the settings that ours has."""

    name = "raw sqlite-vec"

    def __init__(self, folder: Path) -> None:
        import apsw
        import sqlite_vec  # type: ignore[import-untyped]  # it has no types

        self._file = apsw.Connection(str(folder / "raw.db"))
        self._file.enable_load_extension(True)
        self._file.load_extension(sqlite_vec.loadable_path())
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute(f"CREATE VIRTUAL TABLE rows USING vec0(vector float[{DIMENSION}])")

    def put(self, first: int, vectors: Vectors) -> None:
        with self._file:
            numbered = ((first + i, vector.tobytes()) for i, vector in enumerate(vectors))
            self._file.executemany("INSERT INTO rows(rowid, vector) VALUES (?, ?)", numbered)

    def search(self, query: Vectors) -> None:
        self._file.execute(
            "SELECT rowid, distance FROM rows WHERE vector MATCH ? AND k = ?", (query.tobytes(), MOST)
        ).fetchall()


class Index:
    """One of ours, by itself."""

    def __init__(self, name: str, index: VectorIndex) -> None:
        self.name, self._index = name, index

    async def put(self, first: int, vectors: Vectors) -> float:
        """Seconds of a put."""
        return await _seconds(self._index.put("bench", _entries(first, vectors)))

    async def search(self, query: Vectors) -> float:
        """Seconds of a search."""
        return await _seconds(self._index.nearest("bench", query.tolist(), MOST))


class Door:
    """One of ours, as users reach it."""

    def __init__(self, name: str, stack: Any, store: str) -> None:
        self.name, self._stack, self._store = f"{name}, door", stack, store

    async def put(self, first: int, vectors: Vectors) -> float:
        """Seconds of an insert."""
        chunks = [
            {"content": one.text, "metadata": one.attributes, "chunk_id": one.id, "embedding": one.vector}
            for one in _entries(first, vectors)
        ]
        return await _seconds(self._stack.vector_io.insert(vector_store_id=self._store, chunks=chunks))

    async def search(self, query: Vectors) -> float:
        """Seconds of a search for a text, less those of its embedding call."""
        GIVEN["query"] = query.tolist()
        embedding = await _seconds(self._stack.inference.embeddings(model="given/m", input=["query"]))
        call = self._stack.vector_stores.search(vector_store_id=self._store, query="query", max_num_results=MOST)
        return await _seconds(call) - embedding


@asynccontextmanager
async def logged_index(name: str, folder: Path) -> AsyncIterator[Index]:
    """`inline::builtin` or `inline::faiss` on a SQLite store."""
    spec = find("vector_io", f"inline::{name}")
    async with open_sqlite(str(folder / f"{name}-kv.db")) as sql:
        index = spec.factory(spec.config(), KeyValueTable(sql))
        await index.create("bench", DIMENSION)
        yield Index(name, index)


@asynccontextmanager
async def sqlite_vec_index(name: str, folder: Path) -> AsyncIterator[Index]:
    """`inline::sqlite-vec`."""
    spec = find("vector_io", f"inline::{name}")
    async with spec.factory(spec.config.model_validate({"db_path": str(folder / "vectors.db")})) as index:
        await index.create("bench", DIMENSION)
        yield Index(name, index)


@asynccontextmanager
async def door(name: str, folder: Path) -> AsyncIterator[Door]:
    """A stack with one index and a vector store on it."""
    index = {"db_path": str(folder / "door.db")} if name == "sqlite-vec" else {}
    given = {"provider_id": "given", "provider_type": "inline::given", "module": "benchmarks.given_provider"}
    config = {
        "name": "bench",
        "providers": {"inference": [given], "vector_io": [{name: index}]},
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(folder / f"{name}-door-kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(folder / f"{name}-door-sql.db")},
            }
        },
    }
    async with Stack.open(config) as stack:
        store = await stack.vector_stores.create_vector_store(embedding_model="given/m")
        yield Door(name, stack, store.id)


RAW: Mapping[str, Callable[[Path], Raw]] = {"builtin": RawNumpy, "faiss": RawFaiss, "sqlite-vec": RawSqliteVec}
"""What each index is held against."""


async def measure(stores: Path) -> list[Figure]:
    """Four figures for each of the indexes, and four for each through the door."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    out: list[Figure] = []
    for name, raw in RAW.items():
        for opening in (sqlite_vec_index if name == "sqlite-vec" else logged_index, door):
            with tempfile.TemporaryDirectory(dir=stores) as folder:
                async with opening(name, Path(folder)) as ours:
                    out += await _figures(ours, raw(Path(folder)), vectors)
    return out


async def _figures(index: Index | Door, raw: Raw, vectors: Vectors) -> list[Figure]:
    ours, floor, queries = [], [], []
    for first in range(0, ROWS, BATCH):
        part = vectors[first : first + BATCH]
        ours.append(await index.put(first, part))
        before = time.perf_counter()
        raw.put(first + 1, part)
        floor.append(time.perf_counter() - before)
        if first + BATCH in QUERIES:
            queries.append(await _query(index, raw, vectors[: first + BATCH]))
    name, rate, bare = index.name, ROWS / sum(ours), ROWS / sum(floor)
    early, late = (BATCH / statistics.median(part) for part in (ours[:EDGE], ours[-EDGE:]))
    return [
        Figure(f"{name}: put, by {BATCH}", "rows/s", rate, bare, raw.name, "≥ 10,000", rate >= 10_000),
        Figure(f"{name}: last 1,000 put", "rows/s", late, early, "first 1,000", "as the first", late >= early / 2),
        *queries,
    ]


def _entries(first: int, vectors: Vectors) -> list[Entry]:
    """Chunks as a store makes them: some 40 words of text, a few attributes, vectors as lists of numbers."""
    random = np.random.default_rng(first)
    words = random.integers(0, len(WORDS), (len(vectors), 40)).tolist()
    return [
        Entry(
            f"chunk-{first + i}",
            " ".join(WORDS[w] for w in words[i]),
            vector,
            {"file": f"f{(first + i) // 50}", "n": i},
        )
        for i, vector in enumerate(vectors.tolist())
    ]


async def _query(index: Index | Door, raw: Raw, vectors: Vectors) -> Figure:
    """Medians of searches in turn, ours and raw."""
    ours, floor = [], []
    for turn in range(QUERIES[len(vectors)] + 5):
        query = vectors[(turn * 7919) % len(vectors)]
        seconds = await index.search(query)
        before = time.perf_counter()
        raw.search(query)
        if turn >= 5:  # the first ones warm up
            floor.append(time.perf_counter() - before)
            ours.append(seconds)
    mine, bare = (1e3 * statistics.median(taken) for taken in (ours, floor))
    what = f"{index.name}: of {len(vectors):,}"
    return Figure(what, "ms", mine, bare, raw.name, "≤ twice raw", mine <= 2 * bare)


async def _seconds(call: Awaitable[Any]) -> float:
    before = time.perf_counter()
    await call
    return time.perf_counter() - before
