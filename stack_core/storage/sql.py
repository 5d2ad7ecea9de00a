"""The table protocol: typed rows, filtered, ordered and paged. Repositories stand on it; no SQL leaves here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

ColumnType = Literal["text", "integer", "real", "json"]
Row = dict[str, Any]
Comparison = Literal["=", "<", ">", "<=", ">=", "in", "prefix"]


@dataclass(frozen=True)
class Column:
    """A column. `json` columns take and give Python values.

    They also take a function that gives JSON text (`completion.model_dump_json`), which is called off the event loop
    when the row is written.
    """

    name: str
    type: ColumnType
    primary: bool = False
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A table: its columns, the columns (or tuples of columns) to index, and the version of this shape.

    `migrations[i]` holds the columns that version `i + 2` added; opening an older table adds them, opening a newer one
    is refused.
    """

    name: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    version: int = 1
    migrations: tuple[tuple[Column, ...], ...] = ()


@dataclass(frozen=True)
class Where:
    """One condition: `Where("created", ">=", 17)`. Conditions are joined by AND."""

    column: str
    op: Comparison
    value: Any


class Sql(Protocol):
    """Tables. A write that returned is durable."""

    async def ensure(self, table: Table) -> None:
        """Create the table, or bring an older one to this version.

        Raises:
            StoreUnavailable: the table is of a newer version than this program knows, or cannot be written.
        """
        ...

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows; with `replace` a row of the same primary key is overwritten.

        Raises:
            Conflict: a row of the same primary key exists.
        """
        ...

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
        ...

    def enqueue(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows without waiting; for records of which a few may be missed, such as spans.

        They are written soon, and before the store closes. A row of a primary key that exists overwrites it. A failure
        goes to the log. Gives False, with nothing queued, when too many rows wait already.
        """
        ...

    async def flush(self) -> None:
        """Wait until everything that was enqueued before is durable."""
        ...

    async def update(self, table: str, values: Mapping[str, Any], where: Sequence[Where]) -> int:
        """Change matching rows; gives their number."""
        ...

    async def delete(self, table: str, where: Sequence[Where]) -> int:
        """Remove matching rows; gives their number."""
        ...


class Prefixed:
    """A view of a store in which every table's name begins with a prefix that its user never sees."""

    def __init__(self, store: Sql, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    async def ensure(self, table: Table) -> None:
        """Create the table, or bring an older one to this version."""
        await self._store.ensure(replace(table, name=self._prefix + table.name))

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows."""
        await self._store.insert(self._prefix + table, rows, replace=replace)

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
        return await self._store.select(self._prefix + table, where, order=order, limit=limit, offset=offset)

    def enqueue(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows without waiting."""
        return self._store.enqueue(self._prefix + table, rows)

    async def flush(self) -> None:
        """Wait until everything that was enqueued before is durable."""
        await self._store.flush()

    async def update(self, table: str, values: Mapping[str, Any], where: Sequence[Where]) -> int:
        """Change matching rows; gives their number."""
        return await self._store.update(self._prefix + table, values, where)

    async def delete(self, table: str, where: Sequence[Where]) -> int:
        """Remove matching rows; gives their number."""
        return await self._store.delete(self._prefix + table, where)
