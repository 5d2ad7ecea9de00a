"""SQLite: the `Sql` protocol on a file that is shared by all who name it (see `_sqlite_file`)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from stack_core.storage._sql_text import VERSIONS, Found, check_names, find_table
from stack_core.storage._sqlite_file import SqliteFile, opened, release
from stack_core.storage._sqlite_open import Synchronous
from stack_core.storage._sqlite_text import text
from stack_core.storage.sql import Row, Table, Where


@asynccontextmanager
async def open_sqlite(path: str, *, synchronous: Synchronous = "normal") -> AsyncIterator[SqliteSql]:
    """The tables of a file, or of a private memory (`:memory:`); `~` is expanded and missing folders are made.

    Raises:
        StoreUnavailable: the file cannot be opened or written; nothing is left half-made.
    """
    file = await asyncio.to_thread(opened, path, synchronous)
    try:
        yield SqliteSql(file)
    finally:
        await asyncio.to_thread(release, file)


class SqliteSql:
    """Tables in a SQLite file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def ensure(self, table: Table) -> None:
        """Create the table, or bring an older one to this version."""
        if self._file.tables.get(table.name) == table:
            return
        check_names(table)
        path = self._file.path
        await self._file.write(lambda connection: _ensure(connection, table, path))
        self._file.tables[table.name] = table

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows, all or none; with `replace` a row of the same primary key is overwritten."""
        if rows:
            await self._file.insert(self._table(table), rows, replace)

    def enqueue(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows without waiting; False where too many wait already."""
        return self._file.enqueue(self._table(table), rows)

    async def flush(self) -> None:
        """Wait until everything that was enqueued before is in the file."""
        await self._file.write(lambda _: None)

    async def select(
        self,
        table: str,
        where: Sequence[Where] = (),
        *,
        order: Sequence[tuple[str, Literal["asc", "desc"]]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """Matching rows; null sorts before every value."""
        shape = self._table(table)
        query, values = text.select(shape, where, order, limit, offset)
        return await self._file.read(lambda connection: text.decode(shape, connection.execute(query, values)))

    async def update(self, table: str, values: Mapping[str, Any], where: Sequence[Where]) -> int:
        """Change matching rows; gives their number."""
        return await self._change(*text.update(self._table(table), values, where))

    async def delete(self, table: str, where: Sequence[Where]) -> int:
        """Remove matching rows; gives their number."""
        return await self._change(*text.delete(self._table(table), where))

    async def _change(self, statement: str, values: list[Any]) -> int:
        return int(await self._file.write(lambda connection: connection.execute(statement, values).rowcount))

    def _table(self, name: str) -> Table:
        return find_table(self._file.tables, name, self._file.path)


def _ensure(connection: sqlite3.Connection, table: Table, path: str) -> None:
    """Make or mend the table, in the writer's transaction."""
    if not _names(connection, "table", VERSIONS.name):
        connection.execute(text.create(VERSIONS))
    query, values = text.select(VERSIONS, [Where("name", "=", table.name)])
    known = connection.execute(query, values).fetchone()
    found = Found(
        exists=bool(_names(connection, "table", table.name)),
        version=known and int(known[1]),
        indexes=_names(connection, "index", table.name),
    )
    for statement in text.upgrade(table, found, path):
        connection.execute(statement)
    connection.execute(text.insert(VERSIONS, 1, replace=True), (table.name, table.version))


def _names(connection: sqlite3.Connection, kind: Literal["table", "index"], table: str) -> set[str]:
    """The names of what a file holds of this kind for a table; SQLite's names have no case."""
    query = "SELECT name FROM sqlite_master WHERE type = ? AND lower(tbl_name) = lower(?)"
    return {name for (name,) in connection.execute(query, (kind, table))}
