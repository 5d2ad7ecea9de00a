"""Listing 100,000 records: a page at the beginning, in the middle and at the end, beside a plain `sqlite3` that reads
the same rows by the same index."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from benchmarks.measure import Figure, Work, wall_each
from stack_core.storage.records import Records
from stack_core.storage.sql import Column
from stack_core.storage.sqlite import open_sqlite

COUNT = 100_000
SIZE = 100
"""Records of a page."""
PAGES = 10
"""Pages that are read in one go, so that a clock's step does not count."""
DEPTHS = {"first page": 0.0, "middle page": 0.5, "last page": 1.0}


async def measure(stores: Path) -> list[Figure]:
    """Three figures: milliseconds a page of 100 at three depths."""
    path = stores / "pages.db"
    async with open_sqlite(str(path)) as sql:
        files = Records(sql, "files", "file", fields=(Column("purpose", "text"),))
        for start in range(0, COUNT, 5_000):
            await files.add_all([_document(i) for i in range(start, start + 5_000)], owner="alice", purpose="batch")
        bare = sqlite3.connect(path)
        try:
            return [await _figure(name, files, bare, depth) for name, depth in DEPTHS.items()]
        finally:
            bare.close()


async def _figure(name: str, files: Records, bare: sqlite3.Connection, depth: float) -> Figure:
    before = int((COUNT - SIZE) * depth) - 1
    after = f"file-{before:06}" if before >= 0 else None
    taken = await wall_each({"ours": _ours(files, after), "floor": _floor(bare, after)}, rounds=9)
    ours, floor = (taken[who] / PAGES * 1_000 for who in ("ours", "floor"))
    return Figure(f"100,000 records, {name}", "ms", ours, floor, "bare sqlite3", "≤ 20", ours <= 20)


def _ours(files: Records, after: str | None) -> Work:
    async def read() -> None:
        for _ in range(PAGES):
            page = await files.page(after=after, limit=SIZE, order="asc", owner="alice")
            assert len(page.data) == SIZE

    return read


def _floor(bare: sqlite3.Connection, after: str | None) -> Work:
    async def read() -> None:
        for _ in range(PAGES):
            found = bare.execute("SELECT position FROM files WHERE id = ?", (after,)).fetchone()
            query = "SELECT data FROM files WHERE owner = ? AND position > ? ORDER BY position LIMIT ?"
            rows = bare.execute(query, ("alice", found[0] if found else 0, SIZE)).fetchall()
            assert len([json.loads(data) for (data,) in rows]) == SIZE

    return read


def _document(number: int) -> dict[str, object]:
    return {
        "id": f"file-{number:06}",
        "object": "file",
        "bytes": number,
        "created_at": 1_700_000_000 + number,
        "filename": f"report-{number}.txt",
        "purpose": "batch",
        "status": "processed",
    }
