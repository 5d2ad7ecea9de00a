"""Records: JSON documents in a table, by id, in the order of their making, each with its owner.

What stands on it: files, conversations and their items, vector stores, batches, responses. A write that returned is
durable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakValueDictionary

from stack_core.errors import Conflict, InvalidRequest, NotFound
from stack_core.storage.sql import Column, Row, Sql, Table, Where

Data = dict[str, Any]
Place = tuple[int, str]
"""Where a document is in the order of their making: its position, and its id among those of one position."""
TRIES = 100
"""How often a change is tried that others come before."""
SUGGESTED = 200
"""How many of the newest ids are looked at for the nearest one."""


_ORDER = ("position", "id")
_REVISION = Column("revision", "integer")
"""Counts the changes of a document; null before the first."""


@dataclass(frozen=True)
class Page:
    """Some records in the order asked for."""

    data: list[Data]
    has_more: bool

    def ends(self) -> dict[str, Any]:
        """`first_id`, `last_id` and `has_more`, as OpenAI's lists have them."""
        first, last = (self.data[0]["id"], self.data[-1]["id"]) if self.data else (None, None)
        return {"first_id": first, "last_id": last, "has_more": self.has_more}


class Records:
    """Documents of one kind. Each holds its own id under `id`.

    Args:
        kind: how errors call one, such as `file`.
        fields: further columns to filter by; their values are given beside the document.
        unknown: the error of an id that is not there.
    """

    def __init__(
        self, sql: Sql, table: str, kind: str, *, fields: Sequence[Column] = (), unknown: type[NotFound] = NotFound
    ) -> None:
        self._sql, self._kind, self._unknown = sql, kind, unknown
        self._table = Table(
            table,
            (
                Column("id", "text", primary=True),
                Column("position", "integer", nullable=False),
                Column("owner", "text"),
                Column("data", "json", nullable=False),
                *fields,
                _REVISION,
            ),
            indexes=(
                _ORDER,
                *((name, *_ORDER) for name in ("owner", *(field.name for field in fields))),
            ),
            version=2,
            migrations=((_REVISION,),),
        )
        self._last = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def add(self, data: Data, *, owner: str | None = None, **fields: Any) -> None:
        """Store a new document."""
        await self.add_all([data], owner=owner, **fields)

    async def add_all(self, documents: Sequence[Data], *, owner: str | None = None, **fields: Any) -> None:
        """Store new documents, all or none, in their order. A field that is a function reads each one's own value.

        Raises:
            Conflict: one of the ids is there already.
        """
        await self._sql.ensure(self._table)
        rows = [
            {"id": data["id"], "position": self._position(), "owner": owner, "data": data}
            | {name: value(data) if callable(value) else value for name, value in fields.items()}
            for data in documents
        ]
        await self._sql.insert(self._table.name, rows)

    async def get(self, id: str, *, owner: str | None = None, where: Sequence[Where] = ()) -> Data:
        """One document. With an `owner`, only what is theirs.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        return dict((await self._row(id, owner, where))["data"])

    async def find(self, id: str, *, owner: str | None = None, where: Sequence[Where] = ()) -> Data | None:
        """One document, or None."""
        await self._sql.ensure(self._table)
        found = await self._sql.select(self._table.name, [Where("id", "=", id), *_owned(owner), *where])
        return dict(found[0]["data"]) if found else None

    async def owner_of(self, id: str) -> str | None:
        """Whose document it is: work that goes on after a restart runs for them.

        Raises:
            NotFound: there is none of this id.
        """
        owner: str | None = (await self._row(id, None, ()))["owner"]
        return owner

    async def change(
        self,
        id: str,
        changed: Callable[[Data], Data],
        *,
        owner: str | None = None,
        where: Sequence[Where] = (),
        **fields: Any,
    ) -> Data:
        """Replace a document by `changed(document)`; gives the new one.

        No change is lost, also between processes: where another one came between, `changed` is asked again with what is
        there now, so it must do nothing but make the new document.

        Raises:
            NotFound: there is none of this id; names the nearest.
            Conflict: others changed it without end.
        """
        lock = self._locks.setdefault(id, asyncio.Lock())
        async with lock:
            for _ in range(TRIES):
                row = await self._row(id, owner, where)
                data = changed(dict(row["data"]))
                same = [Where("id", "=", id), Where("revision", "=", row["revision"])]
                new = {"data": data, "revision": (row["revision"] or 0) + 1, **fields}
                if await self._sql.update(self._table.name, new, same):
                    return data
        raise Conflict(f"{self._kind} {id!r} was changed by others each time", "try again")

    async def remove(self, id: str, *, owner: str | None = None, where: Sequence[Where] = ()) -> None:
        """Forget a document.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        await self._sql.ensure(self._table)
        if not await self._sql.delete(self._table.name, [Where("id", "=", id), *_owned(owner), *where]):
            await self._row(id, owner, where)

    async def remove_all(self, where: Sequence[Where]) -> int:
        """Forget all that match; gives their number."""
        await self._sql.ensure(self._table)
        return await self._sql.delete(self._table.name, where)

    async def page(
        self,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int | None = 20,
        order: Literal["asc", "desc"] = "desc",
        where: Sequence[Where] = (),
        owner: str | None = None,
    ) -> Page:
        """Documents by the time of their making; `after` and `before` are ids that this list holds.

        Raises:
            InvalidRequest: a cursor that this list does not hold.
        """
        await self._sql.ensure(self._table)
        start = None if after is None else await self._cursor("after", after, owner, where)
        end = None if before is None else await self._cursor("before", before, owner, where)
        low, high = (start, end) if order == "asc" else (end, start)
        rows = await self._between(low, high, None if limit is None else limit + 1, order, [*where, *_owned(owner)])
        return Page([row["data"] for row in rows[:limit]], limit is not None and len(rows) > limit)

    async def _between(
        self, low: Place | None, high: Place | None, most: int | None, order: Literal["asc", "desc"], where: list[Where]
    ) -> list[Row]:
        """Rows after one place and before another. Documents that two processes made in the same nanosecond share a
        position, and are in the order of their ids: the database gives all from the position on, the rest is done
        here."""
        within = [*where]
        if low is not None:
            within.append(Where("position", ">=", low[0]))
        if high is not None:
            within.append(Where("position", "<=", high[0]))
        room = None if most is None else most + (low is not None) + (high is not None)
        while True:
            by = [("position", order), ("id", order)]
            rows = await self._sql.select(self._table.name, within, order=by, limit=room)
            kept = [row for row in rows if (low is None or low < _place(row)) and (high is None or _place(row) < high)]
            if room is None or most is None or len(kept) >= most or len(rows) < room:
                return kept
            room *= 2

    async def _cursor(self, name: str, id: str, owner: str | None, where: Sequence[Where]) -> Place:
        try:
            return _place(await self._row(id, owner, where))
        except NotFound as error:
            hint = f"give the id of a {self._kind} of this very list"
            raise InvalidRequest(f"{name}: {error.message}", hint) from error

    async def _row(self, id: str, owner: str | None, where: Sequence[Where]) -> Row:
        await self._sql.ensure(self._table)
        within = [*_owned(owner), *where]
        found = await self._sql.select(self._table.name, [Where("id", "=", id), *within])
        if found:
            return found[0]
        newest = await self._sql.select(self._table.name, within, order=[("position", "desc")], limit=SUGGESTED)
        raise self._unknown(self._kind, id, [row["id"] for row in newest])

    def _position(self) -> int:
        """Rises with each document, so that those of one second keep their order."""
        self._last = max(self._last + 1, time.time_ns())
        return self._last


def _place(row: Row) -> Place:
    return row["position"], row["id"]


def _owned(owner: str | None) -> Sequence[Where]:
    return [] if owner is None else [Where("owner", "=", owner)]
