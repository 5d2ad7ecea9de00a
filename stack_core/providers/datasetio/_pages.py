"""A page of a data set: rows of its source, then those appended to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from stack_core.apis.datasetio import RowPage
from stack_core.providers.datasetio._appended import Appended

Rows = list[dict[str, Any]]


class Table(Protocol):
    """Rows in their order. Both methods may read files: they are called off the event loop."""

    def page(self, start: int, limit: int | None) -> Rows:
        """At most `limit` rows from index `start` on."""
        ...

    def count(self) -> int:
        """How many rows there are."""
        ...


@dataclass(frozen=True)
class ListTable:
    """Rows that are in memory."""

    rows: Rows

    def page(self, start: int, limit: int | None) -> Rows:
        """At most `limit` rows from index `start` on."""
        return self.rows[start : None if limit is None else start + limit]

    def count(self) -> int:
        """How many rows there are."""
        return len(self.rows)


async def page_of(dataset_id: str, table: Table, appended: Appended, start: int | None, limit: int | None) -> RowPage:
    """One page. One row more than wanted is read, to know whether more follow."""
    first = start or 0
    most = None if limit is None or limit < 0 else limit
    wanted = None if most is None else most + 1
    rows = await asyncio.to_thread(table.page, first, wanted)
    if wanted is None or len(rows) < wanted:
        base = first + len(rows) if rows or first == 0 else await asyncio.to_thread(table.count)
        rest = None if wanted is None else wanted - len(rows)
        rows = rows + await appended.page(dataset_id, max(0, first - base), rest)
    data = rows[:most]
    more = len(rows) > len(data)
    return RowPage(
        data=data,
        has_more=more,
        url=f"/v1beta/datasetio/iterrows/{quote(dataset_id)}",
        next_start_index=first + len(data) if more else None,
    )
