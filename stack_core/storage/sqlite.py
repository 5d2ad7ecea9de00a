"""SQLite: the `Sql` protocol on a file that is shared by all who name it (see `_sqlite_file`)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from stack_core.errors import InvalidRequest, StoreUnavailable, nearest
from stack_core.storage import _sqlite_text as text
from stack_core.storage._sqlite_file import SqliteFile, opened, release
from stack_core.storage._sqlite_open import Synchronous
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
        text.check_names(table)
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
        found = self._file.tables.get(name)
        if found is None:
            close = nearest(name, self._file.tables)
            raise InvalidRequest(
                f"no table {name!r} was declared in {self._file.path}",
                f"did you mean {' or '.join(close)}?" if close else "call ensure(Table(…)) first",
            )
        return found


def _ensure(connection: sqlite3.Connection, table: Table, path: str) -> None:
    """Make or mend the table, in the writer's transaction."""
    if not _exists(connection, text.VERSIONS.name):
        connection.execute(text.create(text.VERSIONS))
    query, values = text.select(text.VERSIONS, [Where("name", "=", table.name)], (), 1, 0)
    found = connection.execute(query, values).fetchone()
    if found is None:
        if _exists(connection, table.name):
            raise StoreUnavailable(
                f"{path} holds a table {table.name} that another program made",
                "give this store another table_name or db_path",
            )
        connection.execute(text.create(table))
    else:
        _migrate(connection, table, int(found[1]), path)
    for statement in text.create_indexes(table):
        connection.execute(statement)
    connection.execute(text.insert(text.VERSIONS, 1, replace=True), (table.name, table.version))


def _migrate(connection: sqlite3.Connection, table: Table, version: int, path: str) -> None:
    if version > table.version:
        raise StoreUnavailable(
            f"table {table.name} in {path} has version {version}; this program knows version {table.version}",
            "update llama-magics, or name another db_path",
        )
    for added in table.migrations[version - 1 : table.version - 1]:
        for column in added:
            connection.execute(text.add_column(table, column))


def _exists(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", (table,))
    return found.fetchone() is not None
