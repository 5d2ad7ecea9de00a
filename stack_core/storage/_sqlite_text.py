"""SQL text for SQLite. Values are always parameters; names come from a declared `Table`, whose names are checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from stack_core.errors import ConfigError, InvalidRequest, nearest
from stack_core.storage.sql import Column, Row, Table, Where

MOST_PARAMETERS = 32_766
"""SQLite's limit of parameters in one statement."""
MOST_ROWS = 256
"""Rows in one INSERT; more gain nothing."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_AFFINITY = {"text": "TEXT", "integer": "INTEGER", "real": "REAL", "json": "TEXT"}
_PLAIN = {"<", ">", "<=", ">="}
_LAST = 0x10FFFF

VERSIONS = Table("stack_tables", (Column("name", "text", primary=True), Column("version", "integer", nullable=False)))
"""Which tables are ours, and in which version of their shape."""


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


def create(table: Table) -> str:
    """The statement that makes the table."""
    primary = [f'"{c.name}"' for c in table.columns if c.primary]
    parts = [_definition(column) for column in table.columns]
    if primary:
        parts.append(f"PRIMARY KEY ({', '.join(primary)})")
    return f'CREATE TABLE "{table.name}" ({", ".join(parts)})'


def add_column(table: Table, column: Column) -> str:
    """The statement that adds a column to a table with rows; such a column may always be null."""
    return f'ALTER TABLE "{table.name}" ADD COLUMN "{column.name}" {_AFFINITY[column.type]}'


def create_indexes(table: Table) -> list[str]:
    """The statements that make the indexes which are not there."""
    return [
        f'CREATE INDEX IF NOT EXISTS "{table.name}_{"_".join(names)}" ON "{table.name}" '
        f"({', '.join(f'{chr(34)}{name}{chr(34)}' for name in names)})"
        for names in table.indexes
    ]


def insert(table: Table, rows: int, *, replace: bool) -> str:
    """The statement that adds this many rows, all columns in the order of the table."""
    names = ", ".join(f'"{c.name}"' for c in table.columns)
    row = f"({', '.join('?' * len(table.columns))})"
    return f'INSERT {"OR REPLACE " if replace else ""}INTO "{table.name}" ({names}) VALUES {", ".join([row] * rows)}'


def rows_in_one_insert(table: Table) -> int:
    """How many rows fit into one INSERT."""
    return min(MOST_ROWS, MOST_PARAMETERS // len(table.columns))


def encode_rows(table: Table, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The parameters of `insert`, row after row; a column that a row does not name is null."""
    out: list[Any] = []
    for row in rows:
        if unknown := row.keys() - {c.name for c in table.columns}:
            _column(table, min(unknown))
        out.extend(_encode(column, row.get(column.name)) for column in table.columns)
    return out


def select(
    table: Table,
    where: Sequence[Where],
    order: Sequence[tuple[str, Literal["asc", "desc"]]],
    limit: int | None,
    offset: int,
) -> tuple[str, list[Any]]:
    """The query and its parameters; null sorts before every value."""
    if (limit is not None and limit < 0) or offset < 0:
        raise InvalidRequest(f"limit {limit} and offset {offset} must not be negative")
    text, values = _conditions(table, where)
    names = ", ".join(f'"{c.name}"' for c in table.columns)
    by = ", ".join(f'"{_column(table, name).name}" {"DESC" if way == "desc" else "ASC"}' for name, way in order)
    text = f'SELECT {names} FROM "{table.name}"{text}{f" ORDER BY {by}" if by else ""} LIMIT ? OFFSET ?'
    return text, [*values, -1 if limit is None else limit, offset]


def update(table: Table, values: Mapping[str, Any], where: Sequence[Where]) -> tuple[str, list[Any]]:
    """The statement that changes matching rows, with its parameters."""
    if not values:
        raise InvalidRequest(f"no values to change in {table.name}")
    columns = [_column(table, name) for name in values]
    text, bound = _conditions(table, where)
    changes = ", ".join(f'"{c.name}" = ?' for c in columns)
    encoded = [_encode(c, value) for c, value in zip(columns, values.values(), strict=True)]
    return f'UPDATE "{table.name}" SET {changes}{text}', encoded + bound


def delete(table: Table, where: Sequence[Where]) -> tuple[str, list[Any]]:
    """The statement that removes matching rows, with its parameters."""
    text, values = _conditions(table, where)
    return f'DELETE FROM "{table.name}"{text}', values


def decode(table: Table, found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Rows as they were given."""
    names = [c.name for c in table.columns]
    packed = [i for i, c in enumerate(table.columns) if c.type == "json"]
    out = []
    for values in found:
        row = dict(zip(names, values, strict=True))
        for i in packed:
            if values[i] is not None:
                row[names[i]] = json.loads(values[i])
        out.append(row)
    return out


def after_prefix(prefix: str) -> str | None:
    """The smallest text above every text that begins with `prefix`; None where there is none."""
    head = prefix.rstrip(chr(_LAST))
    if not head:
        return None
    code = ord(head[-1]) + 1
    # Surrogates are no characters: after U+D7FF comes U+E000.
    return head[:-1] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)


def _definition(column: Column) -> str:
    return f'"{column.name}" {_AFFINITY[column.type]}{"" if column.nullable and not column.primary else " NOT NULL"}'


def _encode(column: Column, value: Any) -> Any:
    if value is None or column.type != "json":
        return value
    if callable(value):
        text = value()
        return text.decode() if isinstance(text, bytes) else text
    return json.dumps(value, separators=(",", ":"))


def _column(table: Table, name: str) -> Column:
    for column in table.columns:
        if column.name == name:
            return column
    close = nearest(name, [c.name for c in table.columns])
    raise InvalidRequest(
        f"table {table.name} has no column {name!r}", f"did you mean {' or '.join(close)}?" if close else None
    )


def _conditions(table: Table, where: Sequence[Where]) -> tuple[str, list[Any]]:
    parts, values = [], []
    for condition in where:
        text, bound = _condition(_column(table, condition.column), condition)
        parts.append(text)
        values += bound
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _condition(column: Column, where: Where) -> tuple[str, list[Any]]:
    name, value = f'"{column.name}"', where.value
    if where.op == "=" and value is None:
        return f"{name} IS NULL", []
    if column.type == "json":
        raise InvalidRequest(f"column {column.name!r} holds JSON and can only be compared with None")
    if where.op == "in":
        return f"{name} IN (SELECT value FROM json_each(?))", [json.dumps(list(value))]
    if where.op == "prefix":
        end = after_prefix(value)
        return (f"{name} >= ?", [value]) if end is None else (f"({name} >= ? AND {name} < ?)", [value, end])
    if where.op == "=" or where.op in _PLAIN:
        return f"{name} {where.op} ?", [value]
    raise InvalidRequest(f"unknown comparison {where.op!r}")
