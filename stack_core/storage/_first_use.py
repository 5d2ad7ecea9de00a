"""Stores that open when they are first asked for something; a failure is told again at the next try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from stack_core.storage.kv import KeyValue
from stack_core.storage.sql import Row, Sql, Table, Where

S = TypeVar("S")


class _AtFirstUse(Generic[S]):
    def __init__(self, opening: Callable[[], Awaitable[S]]) -> None:
        self._opening = opening
        self._lock = asyncio.Lock()
        self._store: S | None = None

    async def _ready(self) -> S:
        if self._store is None:
            async with self._lock:
                if self._store is None:
                    self._store = await self._opening()
        return self._store


class SqlAtFirstUse(_AtFirstUse[Sql]):
    """Tables."""

    async def ensure(self, table: Table) -> None:
        """Create the table, or bring an older one to this version."""
        await (await self._ready()).ensure(table)

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows."""
        await (await self._ready()).insert(table, rows, replace=replace)

    def enqueue(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows without waiting; False before the store was opened by `ensure`."""
        return self._store is not None and self._store.enqueue(table, rows)

    async def flush(self) -> None:
        """Wait until everything that was enqueued before is durable."""
        if self._store is not None:
            await self._store.flush()

    async def select(
        self,
        table: str,
        where: Sequence[Where] = (),
        *,
        order: Sequence[tuple[str, Literal["asc", "desc"]]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """Matching rows."""
        return await (await self._ready()).select(table, where, order=order, limit=limit, offset=offset)

    async def update(self, table: str, values: Mapping[str, Any], where: Sequence[Where]) -> int:
        """Change matching rows; gives their number."""
        return await (await self._ready()).update(table, values, where)

    async def delete(self, table: str, where: Sequence[Where]) -> int:
        """Remove matching rows; gives their number."""
        return await (await self._ready()).delete(table, where)


class KeyValueAtFirstUse(_AtFirstUse[KeyValue]):
    """Text by key."""

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        return await (await self._ready()).get(key)

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        await (await self._ready()).set(key, value)

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        return await (await self._ready()).delete(key)

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs whose key begins with `prefix` and is greater than `after`, by key, at most `limit`."""
        return await (await self._ready()).scan(prefix, after=after, limit=limit)
