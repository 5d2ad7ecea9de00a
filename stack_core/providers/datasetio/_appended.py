"""Rows that calls appended to data sets, kept in a key-value store.

One append is written as pieces of rows and then, last, one mark that says how many each piece has. What has no mark was
not acknowledged and does not count.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any
from urllib.parse import quote

from stack_core.providers.datasetio._values import plain
from stack_core.storage.kv import KeyValue

Rows = list[dict[str, Any]]
PIECE = 500
"""Rows in one value."""


class Appended:
    """Appended rows by data set, in the order of their appending."""

    def __init__(self, store: KeyValue) -> None:
        self._store = store
        self._last = 0

    async def add(self, dataset_id: str, rows: Rows) -> None:
        """Keep rows, all or none; they are durable when this returns."""
        if not rows:
            return
        pieces = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
        stamp = self._stamp()
        for number, piece in enumerate(pieces):
            await self._store.set(_rows(dataset_id, stamp, number), json.dumps(plain(piece)))
        await self._store.set(f"{_marks(dataset_id)}{stamp}", json.dumps([len(piece) for piece in pieces]))

    async def page(self, dataset_id: str, start: int, limit: int | None) -> Rows:
        """At most `limit` rows from index `start` of the appended ones on."""
        found: Rows = []
        seen = 0
        end = None if limit is None else start + limit
        prefix = _marks(dataset_id)
        for key, counts in await self._store.scan(prefix):
            for number, count in enumerate(json.loads(counts)):
                if end is not None and seen >= end:
                    return found
                if seen + count > start:
                    text = await self._store.get(_rows(dataset_id, key.removeprefix(prefix), number))
                    inside = json.loads(text or "[]")
                    found += inside[max(0, start - seen) : None if end is None else end - seen]
                seen += count
        return found

    async def forget(self, dataset_id: str) -> None:
        """Drop all rows of a data set; the marks first, so that none is ever seen in part."""
        for prefix in (_marks(dataset_id), _rows(dataset_id)):
            while found := await self._store.scan(prefix, limit=PIECE):
                for key, _ in found:
                    await self._store.delete(key)

    def _stamp(self) -> str:
        """Rises with each append of this process; two processes never have the same."""
        self._last = max(self._last + 1, time.time_ns())
        return f"{self._last:020d}-{uuid.uuid4().hex[:8]}"


def _marks(dataset_id: str) -> str:
    return f"marks:{quote(dataset_id, safe='')}:"


def _rows(dataset_id: str, stamp: str = "", number: int | None = None) -> str:
    beginning = f"rows:{quote(dataset_id, safe='')}:{stamp}"
    return beginning if number is None else f"{beginning}:{number:08d}"
