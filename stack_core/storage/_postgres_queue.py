"""Rows that nobody waits for, such as spans: written soon, many in one statement, by one task."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from stack_core.errors import Conflict, InvalidRequest, StackError
from stack_core.storage.sql import Table

Rows = Sequence[Mapping[str, Any]]

MOST_WAITING = 20_000
"""Rows that may wait."""
MOST_AT_ONCE = 1_000
"""Rows in one statement."""
CLOSE_SECONDS = 20.0

log = logging.getLogger(__name__)


class Queue:
    """What waits to be written.

    Args:
        put: adds rows to a table, all or none; True as third argument lets them overwrite.
    """

    def __init__(self, put: Callable[[Table, Rows, bool], Awaitable[None]]) -> None:
        self._put = put
        self._waiting: deque[tuple[Table, Rows]] = deque()
        self._count = 0
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, table: Table, rows: Rows) -> bool:
        """Take rows; False, with nothing taken, where too many wait or the store is closed."""
        if self._closed or self._count + len(rows) > MOST_WAITING:
            return False
        self._waiting.append((table, rows))
        self._count += len(rows)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())
        return True

    async def flush(self) -> None:
        """Wait until what was taken is written, or in the log."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Take no more, and write what waits; what the store does not take in time is lost, and in the log."""
        self._closed = True
        if self._writing is None:
            return
        done, _ = await asyncio.wait({self._writing}, timeout=CLOSE_SECONDS)
        if not done:
            log.warning("%d rows were not stored: the store did not take them in time", self._count)
            self._writing.cancel()

    async def _write(self) -> None:
        while self._waiting:
            table, rows = self._waiting.popleft()
            parts = [rows]
            count = len(rows)
            while self._waiting and self._waiting[0][0] == table and count + len(self._waiting[0][1]) <= MOST_AT_ONCE:
                parts.append(self._waiting.popleft()[1])
                count += len(parts[-1])
            try:
                await self._put_parts(table, parts)
            finally:
                self._count -= count

    async def _put_parts(self, table: Table, parts: list[Rows]) -> None:
        """All in one statement; one by one where a part of them cannot be stored."""
        try:
            await self._put(table, [row for rows in parts for row in rows], True)
        except (Conflict, InvalidRequest) as error:
            if len(parts) == 1:
                _lost(len(parts[0]), error)
                return
            for rows in parts:
                await self._put_parts(table, [rows])
        except StackError as error:
            _lost(sum(map(len, parts)), error)


def _lost(count: int, error: StackError) -> None:
    log.warning("%d rows were not stored: %s", count, error)
