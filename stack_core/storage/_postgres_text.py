"""SQL text as PostgreSQL wants it.

Text columns are in the order of code points (`COLLATE "C"`), and null comes first, as everywhere here. PostgreSQL keeps
no NUL in a text, so U+0000 and U+0001 are kept as U+0001 U+0001 and U+0001 U+0002: order and prefixes stay as they
were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Literal

from stack_core.storage._sql_text import SqlText, may_be_null
from stack_core.storage.sql import Column, Row, Table

_ESCAPED = re.compile("[\0\1]")
_ESCAPE = re.compile("\1[\1\2]")


class PostgresText(SqlText):
    """PostgreSQL's statements."""

    types = {"text": "TEXT", "integer": "BIGINT", "real": "DOUBLE PRECISION", "json": "TEXT"}

    def insert(self, table: Table, *, replace: bool) -> str:
        """The statement that adds any number of rows: its parameters are the columns, each a list."""
        names = ", ".join(f'"{c.name}"' for c in table.columns)
        lists = ", ".join(f"${i}::{self.types[c.type]}[]" for i, c in enumerate(table.columns, 1))
        text = f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({lists})'
        primary = [f'"{c.name}"' for c in table.columns if c.primary]
        if not replace or not primary:
            return text
        others = ", ".join(f'"{c.name}" = EXCLUDED."{c.name}"' for c in table.columns if not c.primary)
        return f"{text} ON CONFLICT ({', '.join(primary)}) DO {f'UPDATE SET {others}' if others else 'NOTHING'}"

    def encode_columns(self, table: Table, rows: Iterable[Mapping[str, Any]], *, replace: bool) -> list[list[Any]]:
        """The parameters of `insert`. Of rows that replace each other only the last is sent; they go in one order, so
        that two callers do not wait for each other's rows."""
        encoded = [self.encode_row(table, row) for row in rows]
        keys = [i for i, c in enumerate(table.columns) if c.primary]
        if replace and keys:
            last = {tuple(values[i] for i in keys): values for values in encoded}
            encoded = [last[key] for key in sorted(last, key=str)]
        return [list(column) for column in zip(*encoded, strict=True)]

    def decode(self, table: Table, found: Iterable[Iterable[Any]]) -> list[Row]:
        """Rows as they were given."""
        rows = super().decode(table, found)
        texts = [c.name for c in table.columns if c.type == "text"]
        for row in rows:
            for name in texts:
                value = row[name]
                if value is not None and "\1" in value:
                    row[name] = _ESCAPE.sub(lambda pair: chr(ord(pair[0][1]) - 1), value)
        return rows

    def _marked(self, text: str) -> str:
        numbers = count(1)
        return re.sub(r"\?", lambda _: f"${next(numbers)}", text)

    def _kept(self, value: str) -> str:
        return _ESCAPED.sub(lambda found: "\1" + chr(ord(found[0]) + 1), value)

    def _type(self, column: Column) -> str:
        return self.types[column.type] + (' COLLATE "C"' if column.type == "text" else "")

    def _sorted(self, column: Column, way: Literal["asc", "desc"]) -> str:
        if not may_be_null(column):
            return super()._sorted(column, way)
        return super()._sorted(column, way) + (" NULLS LAST" if way == "desc" else " NULLS FIRST")

    def _among(self, name: str, values: list[Any]) -> tuple[str, list[Any]]:
        return f"{name} = ANY(?)", [values]


text = PostgresText()
