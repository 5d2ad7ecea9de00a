"""SQL text, written once for every database; a database says where its own differs (`_sqlite_text`, `_postgres_text`).

Values are always parameters; names come from a declared `Table`, whose names are checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from math import isnan
from typing import Any, ClassVar, Literal

from stack_core.errors import ConfigError, InvalidRequest, StoreUnavailable, nearest
from stack_core.storage.sql import Column, ColumnType, Row, Table, Where

MOST_OF_NAME = 63
"""Characters of a name: PostgreSQL cuts longer ones."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PLAIN = {"<", ">", "<=", ">="}
_LAST = 0x10FFFF
_INTEGERS = range(-(2**63), 2**63)

VERSIONS = Table("stack_tables", (Column("name", "text", primary=True), Column("version", "integer", nullable=False)))
"""Which tables are ours, and in which version of their shape."""


@dataclass(frozen=True)
class Found:
    """What a database holds of a table: its version where it is ours, and the names of its indexes."""

    exists: bool = False
    version: int | None = None
    indexes: AbstractSet[str] = field(default_factory=frozenset)


def check_names(table: Table) -> None:
    """Refuse a name that is no plain identifier.

    Raises:
        ConfigError: names it.
    """
    for name in (table.name, *(c.name for c in table.columns), *(n for index in table.indexes for n in index)):
        if not _NAME.fullmatch(name) or name.lower().startswith("sqlite_"):
            raise ConfigError(
                f"{name!r} cannot name a table or a column",
                "use letters, digits and underscores, at most 63, not beginning with a digit or with sqlite_",
            )


def find_table(tables: Mapping[str, Table], name: str, place: str) -> Table:
    """A table that was declared by `ensure`.

    Raises:
        InvalidRequest: there is none of this name; names the nearest.
    """
    found = tables.get(name)
    if found is None:
        close = nearest(name, tables)
        raise InvalidRequest(
            f"no table {name!r} was declared in {place}",
            f"did you mean {' or '.join(close)}?" if close else "call ensure(Table(…)) first",
        )
    return found


class SqlText:
    """The statements of one database. Inside, every value is written `?`; `_marked` puts the database's own marks."""

    types: ClassVar[Mapping[ColumnType, str]]

    def create(self, table: Table) -> str:
        """The statement that makes the table."""
        primary = [f'"{c.name}"' for c in table.columns if c.primary]
        parts = [self._definition(column) for column in table.columns]
        if primary:
            parts.append(f"PRIMARY KEY ({', '.join(primary)})")
        return f'CREATE TABLE "{table.name}" ({", ".join(parts)})'

    def upgrade(self, table: Table, found: Found, place: str) -> list[str]:
        """The statements that bring what was found to this shape; they belong into one transaction.

        Raises:
            StoreUnavailable: another program made the table, or a newer version of this one did.
        """
        if found.version is None:
            if found.exists:
                raise StoreUnavailable(
                    f"{place} holds a table {table.name} that another program made",
                    "give this store another table_name or database",
                )
            return [self.create(table), *self._create_indexes(table, found)]
        if found.version > table.version:
            raise StoreUnavailable(
                f"table {table.name} in {place} has version {found.version}; this program knows version "
                f"{table.version}",
                "update llama-magics, or name another database",
            )
        added = [column for step in table.migrations[found.version - 1 : table.version - 1] for column in step]
        return [*(self._add_column(table, column) for column in added), *self._create_indexes(table, found)]

    def select(
        self,
        table: Table,
        where: Sequence[Where],
        order: Sequence[tuple[str, Literal["asc", "desc"]]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[str, list[Any]]:
        """The query and its parameters; null sorts before every value."""
        if (limit is not None and limit < 0) or offset < 0:
            raise InvalidRequest(f"limit {limit} and offset {offset} must not be negative")
        text, values = self._conditions(table, where)
        names = ", ".join(f'"{c.name}"' for c in table.columns)
        by = ", ".join(self._sorted(_column(table, name), way) for name, way in order)
        text = f'SELECT {names} FROM "{table.name}"{text}{f" ORDER BY {by}" if by else ""} LIMIT ? OFFSET ?'
        return self._marked(text), [*values, self._limit(limit), offset]

    def update(self, table: Table, values: Mapping[str, Any], where: Sequence[Where]) -> tuple[str, list[Any]]:
        """The statement that changes matching rows, with its parameters."""
        if not values:
            raise InvalidRequest(f"no values to change in {table.name}")
        columns = [_column(table, name) for name in values]
        text, bound = self._conditions(table, where)
        changes = ", ".join(f'"{c.name}" = ?' for c in columns)
        encoded = [self.encode(c, value) for c, value in zip(columns, values.values(), strict=True)]
        return self._marked(f'UPDATE "{table.name}" SET {changes}{text}'), encoded + bound

    def delete(self, table: Table, where: Sequence[Where]) -> tuple[str, list[Any]]:
        """The statement that removes matching rows, with its parameters."""
        text, values = self._conditions(table, where)
        return self._marked(f'DELETE FROM "{table.name}"{text}'), values

    def encode_row(self, table: Table, row: Mapping[str, Any]) -> list[Any]:
        """A row's values in the order of the columns; a column that it does not name is null."""
        if unknown := row.keys() - {c.name for c in table.columns}:
            _column(table, min(unknown))
        return [self.encode(column, row.get(column.name)) for column in table.columns]

    def decode(self, table: Table, found: Iterable[Iterable[Any]]) -> list[Row]:
        """Rows as they were given."""
        names = [c.name for c in table.columns]
        packed = [c.name for c in table.columns if c.type == "json"]
        out = []
        for values in found:
            row = dict(zip(names, values, strict=True))
            for name in packed:
                if row[name] is not None:
                    row[name] = json.loads(row[name])
            out.append(row)
        return out

    def encode(self, column: Column, value: Any) -> Any:
        """A value as a parameter. Every database takes and refuses the same ones.

        Raises:
            InvalidRequest: it is not of the column's type.
        """
        if value is None:
            return None
        match column.type:
            case "json":
                return _json(value)
            case "text" if isinstance(value, str):
                return self._kept(value)
            case "integer" if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
                if int(value) in _INTEGERS:
                    return int(value)
            case "real" if isinstance(value, int | float) and not isnan(value):  # a NaN has no place in an order
                return float(value)
        raise InvalidRequest(f"column {column.name!r} takes {column.type}: {value!r:.80} cannot be stored")

    # ---- where databases differ ---------------------------------------------------------------------------------

    def _marked(self, text: str) -> str:
        return text

    def _kept(self, value: str) -> str:
        return value

    def _type(self, column: Column) -> str:
        return self.types[column.type]

    def _sorted(self, column: Column, way: Literal["asc", "desc"]) -> str:
        return f'"{column.name}" {"DESC" if way == "desc" else "ASC"}'

    def _limit(self, limit: int | None) -> int | None:
        return limit

    def _among(self, name: str, values: list[Any]) -> tuple[str, list[Any]]:
        """The condition that a column has one of these values, with its parameters."""
        raise NotImplementedError

    # ---- the parts of a statement -------------------------------------------------------------------------------

    def _definition(self, column: Column) -> str:
        return f'"{column.name}" {self._type(column)}{"" if may_be_null(column) else " NOT NULL"}'

    def _add_column(self, table: Table, column: Column) -> str:
        """A column that joins a table with rows may always be null."""
        return f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" {self._type(column)}'

    def _create_indexes(self, table: Table, found: Found) -> list[str]:
        return [
            f'CREATE INDEX "{name}" ON "{table.name}" '
            f"({', '.join(self._sorted(_column(table, part), 'asc') for part in parts)})"
            for parts in table.indexes
            if (name := _index_name(table, parts)) not in found.indexes
        ]

    def _conditions(self, table: Table, where: Sequence[Where]) -> tuple[str, list[Any]]:
        parts, values = [], []
        for condition in where:
            text, bound = self._condition(_column(table, condition.column), condition)
            parts.append(text)
            values += bound
        return (f" WHERE {' AND '.join(parts)}" if parts else ""), values

    def _condition(self, column: Column, where: Where) -> tuple[str, list[Any]]:
        name = f'"{column.name}"'
        if where.op == "=" and where.value is None:
            return f"{name} IS NULL", []
        if column.type == "json":
            raise InvalidRequest(f"column {column.name!r} holds JSON and can only be compared with None")
        if where.op == "in":
            return self._among(name, [self.encode(column, item) for item in where.value])
        value = self.encode(column, where.value)
        if where.op == "prefix":
            end = after_prefix(where.value)
            if end is None:
                return f"{name} >= ?", [value]
            return f"({name} >= ? AND {name} < ?)", [value, self.encode(column, end)]
        if where.op == "=" or where.op in _PLAIN:
            return f"{name} {where.op} ?", [value]
        raise InvalidRequest(f"unknown comparison {where.op!r}")


def may_be_null(column: Column) -> bool:
    """Whether the column takes null."""
    return column.nullable and not column.primary


def after_prefix(prefix: str) -> str | None:
    """The smallest text above every text that begins with `prefix`; None where there is none."""
    head = prefix.rstrip(chr(_LAST))
    if not head:
        return None
    code = ord(head[-1]) + 1
    # Surrogates are no characters: after U+D7FF comes U+E000.
    return head[:-1] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)


def _index_name(table: Table, parts: Sequence[str]) -> str:
    name = f"{table.name}_{'_'.join(parts)}"
    if len(name) <= MOST_OF_NAME:
        return name
    return f"{name[:54]}_{sha256(name.encode()).hexdigest()[:8]}"


def _json(value: Any) -> str:
    if callable(value):
        text = value()
        return text.decode() if isinstance(text, bytes) else str(text)
    return json.dumps(value, separators=(",", ":"))


def _column(table: Table, name: str) -> Column:
    for column in table.columns:
        if column.name == name:
            return column
    close = nearest(name, [c.name for c in table.columns])
    raise InvalidRequest(
        f"table {table.name} has no column {name!r}", f"did you mean {' or '.join(close)}?" if close else None
    )
