"""SQL text as SQLite wants it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from stack_core.storage._sql_text import SqlText
from stack_core.storage.sql import Table

MOST_PARAMETERS = 32_766
"""SQLite's limit of parameters in one statement."""
MOST_ROWS = 256
"""Rows in one INSERT; more gain nothing."""


class SqliteText(SqlText):
    """SQLite's statements."""

    types = {"text": "TEXT", "integer": "INTEGER", "real": "REAL", "json": "TEXT"}

    def insert(self, table: Table, rows: int, *, replace: bool) -> str:
        """The statement that adds this many rows, all columns in the order of the table."""
        names = ", ".join(f'"{c.name}"' for c in table.columns)
        row = f"({', '.join('?' * len(table.columns))})"
        return (
            f'INSERT {"OR REPLACE " if replace else ""}INTO "{table.name}" ({names}) VALUES {", ".join([row] * rows)}'
        )

    def rows_in_one_insert(self, table: Table) -> int:
        """How many rows fit into one INSERT."""
        return min(MOST_ROWS, MOST_PARAMETERS // len(table.columns))

    def encode_rows(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """The parameters of `insert`, row after row."""
        out: list[Any] = []
        for row in rows:
            out += self.encode_row(table, row)
        return out

    def _limit(self, limit: int | None) -> int:
        return -1 if limit is None else limit

    def _among(self, name: str, values: list[Any]) -> tuple[str, list[Any]]:
        text, cut = (
            f"{name} IN (SELECT value FROM json_each(?))",
            [v for v in values if isinstance(v, str) and "\0" in v],
        )
        if not cut:
            return text, [json.dumps(values)]
        # SQLite's JSON ends a text at its first NUL.
        return f"({text} OR {name} IN ({', '.join('?' * len(cut))}))", [json.dumps(values), *cut]


text = SqliteText()
