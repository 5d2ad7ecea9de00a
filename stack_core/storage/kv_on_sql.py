"""The `KeyValue` protocol on any `Sql` store: one table with a key and a value."""

from __future__ import annotations

from stack_core.storage.sql import Column, Sql, Table, Where

COLUMNS = (Column("key", "text", primary=True), Column("value", "text", nullable=False))


class KeyValueTable:
    """Text by key in a table."""

    def __init__(self, sql: Sql, table: str = "stack_kv") -> None:
        self._sql, self._table = sql, Table(table, COLUMNS)

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        await self._sql.ensure(self._table)
        found = await self._sql.select(self._table.name, [Where("key", "=", key)])
        return found[0]["value"] if found else None

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        await self._sql.ensure(self._table)
        await self._sql.insert(self._table.name, [{"key": key, "value": value}], replace=True)

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        await self._sql.ensure(self._table)
        return await self._sql.delete(self._table.name, [Where("key", "=", key)]) > 0

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs whose key begins with `prefix` and is greater than `after`, by key, at most `limit`."""
        await self._sql.ensure(self._table)
        # `after` first: SQLite begins at the first bound, and the prefix alone would walk over all entries before it.
        where = [Where("key", ">", after)] if after is not None else []
        if prefix:
            where.append(Where("key", "prefix", prefix))
        found = await self._sql.select(self._table.name, where, order=[("key", "asc")], limit=limit)
        return [(row["key"], row["value"]) for row in found]
