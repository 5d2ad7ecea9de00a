"""Vector indexes: putting in 100,000 rows and finding the nearest, beside raw faiss and raw sqlite-vec on the same
vectors. What ours does besides and the raw ones do not: texts, attributes, word search, durability."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure
from stack_core.apis.vector_io import Entry, VectorIndex
from stack_core.providers._registry import find
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sqlite import open_sqlite

ROWS, DIMENSION, BATCH, EARLY, MOST = 100_000, 384, 100, 2_000, 10
EDGE = 1_000 // BATCH
"""Batches at the beginning and at the end whose speed is compared."""
QUERIES = {EARLY: 300, ROWS: 60}
WORDS = [f"word{number}" for number in range(5_000)]
Vectors = NDArray[np.float32]


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


@asynccontextmanager
async def faiss_index(folder: Path) -> AsyncIterator[VectorIndex]:
    """`inline::faiss` on a SQLite store."""
    spec = find("vector_io", "inline::faiss")
    async with open_sqlite(str(folder / "vectors-kv.db")) as sql:
        yield spec.factory(spec.config(), KeyValueTable(sql))


@asynccontextmanager
async def sqlite_vec_index(folder: Path) -> AsyncIterator[VectorIndex]:
    """`inline::sqlite-vec`."""
    spec = find("vector_io", "inline::sqlite-vec")
    async with spec.factory(spec.config.model_validate({"db_path": str(folder / "vectors.db")})) as index:
        yield index


async def measure(stores: Path) -> list[Figure]:
    """Four figures for each of the two indexes."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    out: list[Figure] = []
    for opening, kind in ((faiss_index, RawFaiss), (sqlite_vec_index, RawSqliteVec)):
        async with opening(stores) as index:
            out += await _figures(index, kind(stores), vectors)
    return out


async def _figures(index: VectorIndex, raw: RawFaiss | RawSqliteVec, vectors: Vectors) -> list[Figure]:
    await index.create("bench", DIMENSION)
    ours, floor, queries = [], [], []
    for first in range(0, ROWS, BATCH):
        part = vectors[first : first + BATCH]
        entries = _entries(first, part)
        ours.append(await _seconds(index.put("bench", entries)))
        before = time.perf_counter()
        raw.put(first + 1, part)
        floor.append(time.perf_counter() - before)
        if first + BATCH in QUERIES:
            queries.append(await _query(index, raw, vectors[: first + BATCH]))
    name = raw.name.partition(" ")[2]
    rate, bare = ROWS / sum(ours), ROWS / sum(floor)
    early, late = (BATCH / statistics.median(part) for part in (ours[:EDGE], ours[-EDGE:]))
    return [
        Figure(f"{name}: put, batches of {BATCH}", "rows/s", rate, bare, raw.name, "≥ 10,000", rate >= 10_000),
        Figure(
            f"{name}: last 1,000 of 100,000", "rows/s", late, early, "first 1,000", "as the first", late >= early / 2
        ),
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


async def _query(index: VectorIndex, raw: RawFaiss | RawSqliteVec, vectors: Vectors) -> Figure:
    """Medians of searches in turn, ours and raw."""
    ours, floor = [], []
    for turn in range(QUERIES[len(vectors)] + 5):
        query = vectors[(turn * 7919) % len(vectors)]
        numbers = query.tolist()
        seconds = await _seconds(index.nearest("bench", numbers, MOST))
        before = time.perf_counter()
        raw.search(query)
        if turn >= 5:  # the first ones warm up
            floor.append(time.perf_counter() - before)
            ours.append(seconds)
    mine, bare = (1e3 * statistics.median(taken) for taken in (ours, floor))
    what = f"{raw.name.partition(' ')[2]}: nearest of {len(vectors):,}"
    return Figure(what, "ms", mine, bare, raw.name, "≤ twice raw", mine <= 2 * bare)


async def _seconds(call: Awaitable[Any]) -> float:
    before = time.perf_counter()
    await call
    return time.perf_counter() - before
