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

from stack_core.errors import InvalidRequest, NotFound
from stack_core.storage.sql import Column, Row, Sql, Table, Where

Data = dict[str, Any]
SUGGESTED = 200
"""How many of the newest ids are looked at for the nearest one."""


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
            ),
            indexes=(("position",), *((field.name, "position") for field in fields)),
        )
        self._last = 0
        self._locks: dict[str, asyncio.Lock] = {}

    async def add(self, data: Data, *, owner: str | None = None, **fields: Any) -> None:
        """Store a new document."""
        await self.add_all([data], owner=owner, **fields)

    async def add_all(self, documents: Sequence[Data], *, owner: str | None = None, **fields: Any) -> None:
        """Store new documents, all or none, in their order.

        Raises:
            Conflict: one of the ids is there already.
        """
        await self._sql.ensure(self._table)
        rows = [
            {"id": data["id"], "position": self._position(), "owner": owner, "data": data, **fields}
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
        """Replace a document by `changed(document)`, one change of an id at a time in this process; gives the new one.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        lock = self._locks.setdefault(id, asyncio.Lock())
        try:
            async with lock:
                data = changed(await self.get(id, owner=owner, where=where))
                await self._sql.update(self._table.name, {"data": data, **fields}, [Where("id", "=", id)])
                return data
        finally:
            if not lock.locked():
                self._locks.pop(id, None)

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
        within = [*where, *_owned(owner)]
        beyond: Literal["<", ">"] = ">" if order == "asc" else "<"
        if after is not None:
            within.append(Where("position", beyond, await self._cursor("after", after, owner, where)))
        if before is not None:
            other: Literal["<", ">"] = "<" if order == "asc" else ">"
            within.append(Where("position", other, await self._cursor("before", before, owner, where)))
        most = None if limit is None else limit + 1
        rows = await self._sql.select(self._table.name, within, order=[("position", order)], limit=most)
        return Page([row["data"] for row in rows[:limit]], limit is not None and len(rows) > limit)

    async def _cursor(self, name: str, id: str, owner: str | None, where: Sequence[Where]) -> int:
        try:
            return int((await self._row(id, owner, where))["position"])
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


def _owned(owner: str | None) -> Sequence[Where]:
    return [] if owner is None else [Where("owner", "=", owner)]
