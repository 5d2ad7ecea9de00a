"""The `KeyValue` protocol on any `Sql` store: one table with a key and a value."""

from __future__ import annotations

from stack_core.storage.sql import Column, Sql, Table, Where

TABLE = Table("stack_kv", (Column("key", "text", primary=True), Column("value", "text", nullable=False)))


class KeyValueTable:
    """Text by key in a table."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        await self._sql.ensure(TABLE)
        found = await self._sql.select(TABLE.name, [Where("key", "=", key)])
        return found[0]["value"] if found else None

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        await self._sql.ensure(TABLE)
        await self._sql.insert(TABLE.name, [{"key": key, "value": value}], replace=True)

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        await self._sql.ensure(TABLE)
        return await self._sql.delete(TABLE.name, [Where("key", "=", key)]) > 0

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs whose key begins with `prefix` and is greater than `after`, by key, at most `limit`."""
        await self._sql.ensure(TABLE)
        where = [Where("key", "prefix", prefix)] if prefix else []
        if after is not None:
            where.append(Where("key", ">", after))
        found = await self._sql.select(TABLE.name, where, order=[("key", "asc")], limit=limit)
        return [(row["key"], row["value"]) for row in found]
