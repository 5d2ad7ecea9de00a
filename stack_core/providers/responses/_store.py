"""Responses as they are kept: each with its own input and the ids of those that it goes on from."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from stack_core import context
from stack_core.apis._items import Include, StoredItem
from stack_core.apis._kept_items import shown
from stack_core.apis._response import Response
from stack_core.errors import Conflict, UnknownId
from stack_core.providers.responses._script import FOUND
from stack_core.storage.records import Data, Page, Records
from stack_core.storage.sql import Column, Sql, Where

OPEN = ("queued", "in_progress")
"""Statuses of a response that is under way."""
LONGEST_SECONDS = 3600
"""After this long a response that another host makes is taken for lost."""
_STORED: TypeAdapter[StoredItem] = TypeAdapter(StoredItem, config=ConfigDict(defer_build=True))


class ResponseStore:
    """The responses of all owners; every reading sees the caller's own."""

    def __init__(self, sql: Sql) -> None:
        self._records = Records(sql, "responses", "response", fields=[Column("model", "text")], unknown=UnknownId)
        self._events = Records(sql, "events", "response")

    async def add(self, response: Response, output: Sequence[Any], input: list[Data], thread: list[str]) -> None:
        """Keep a new response: `output` are its items with all that was found, `thread` the ids before it."""
        row = {"id": response.id, "response": whole(response, output), "input": input, "thread": thread}
        await self._records.add(row | {"at": _here()}, owner=context.owner(), model=response.model)

    async def put(self, response: Response, output: Sequence[Any], events: Sequence[Any] = ()) -> bool:
        """Keep how a response stands now, and at its end its events. False where it was ended or deleted meanwhile,
        by another process: then that counts."""
        new = whole(response, output)

        def changed(row: Data) -> Data:
            return {**row, "response": new} if row["response"]["status"] in OPEN else row

        try:
            row = await self._records.change(response.id, changed, owner=context.owner())
        except UnknownId:
            return False
        if events:
            kept = [event.model_dump(mode="json", by_alias=True) for event in events]
            try:
                await self._events.add({"id": response.id, "events": kept}, owner=context.owner())
            except Conflict:  # a second ending, by another process
                return False
        return bool(row["response"] == new)

    async def end(self, response_id: str, **changes: Any) -> Data:
        """Give a response that is under way another status; gives the record."""

        def changed(row: Data) -> Data:
            if row["response"]["status"] not in OPEN:
                return row
            return {**row, "response": {**row["response"], **changes}}

        return await self._records.change(response_id, changed, owner=context.owner())

    async def get(self, response_id: str) -> Data:
        """One record. A response whose process is gone has failed, and is kept so.

        Raises:
            UnknownId: the caller has no such response; names the nearest.
        """
        row = await self._records.get(response_id, owner=context.owner())
        if row["response"]["status"] in OPEN and not _alive(row["at"]):
            fault = {"code": "server_error", "message": "the process ended before the response was made; ask again"}
            row = await self.end(response_id, status="failed", error=fault)
        return row

    async def find(self, response_id: str) -> Data | None:
        """One record, or None."""
        return await self._records.find(response_id, owner=context.owner())

    async def events(self, response_id: str) -> list[Data]:
        """The events of a response that was made in the background; none where it ended without."""
        found = await self._events.find(response_id, owner=context.owner())
        return found["events"] if found else []

    async def page(self, after: str | None, limit: int, order: Any, model: str | None) -> Page:
        """Records, newest first unless asked otherwise."""
        where = [] if model is None else [Where("model", "=", model)]
        return await self._records.page(after=after, limit=limit, order=order, where=where, owner=context.owner())

    async def remove(self, response_id: str) -> None:
        """Forget a response.

        Raises:
            UnknownId: the caller has no such response; names the nearest.
        """
        await self._records.remove(response_id, owner=context.owner())
        await self._events.remove_all([Where("id", "=", response_id)])

    async def before(self, rows: Sequence[Data]) -> dict[str, Data]:
        """The records of all that these go on from, by id."""
        ids = sorted({id for row in rows for id in row["thread"]})
        if not ids:
            return {}
        where = [Where("id", "in", ids)]
        found = await self._records.page(limit=None, where=where, owner=context.owner())
        return {row["id"]: row for row in found.data}

    async def history(self, row: Data) -> list[Data]:
        """The items of all that this one goes on from, then its input and its output.

        Raises:
            UnknownId: one of them was deleted.
        """
        earlier = await self.before([row])
        for id in row["thread"]:
            if id not in earlier:
                hint = f"{row['id']} goes on from it, and it was deleted: begin anew, with the items as input"
                raise UnknownId("response", id, (), hint)
        rows = [*(earlier[id] for id in row["thread"]), row]
        return [item for each in rows for item in (*each["input"], *each["response"]["output"])]


def whole(response: Response, output: Sequence[Any]) -> Data:
    """A response as it is kept."""
    data = response.model_copy(update={"output": []}).model_dump(mode="json", by_alias=True)
    data["output"] = [item.model_dump(mode="json", by_alias=True) for item in output]
    return data


def presented(row: Data, include: Sequence[Include] | None) -> Data:
    """A kept response as the caller sees it."""
    response: Data = row["response"]
    if FOUND in (include or ()):
        return response
    return {**response, "output": [_without_found(item) for item in response["output"]]}


def _without_found(item: Data) -> Data:
    return {**item, "results": None} if item["type"] == "file_search_call" else item


def typed(items: Sequence[Data], include: Sequence[Include] | None) -> list[StoredItem]:
    """Items as a list shows them."""
    return [_STORED.validate_python(shown(item, include)) for item in items]


def _here() -> Data:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _STARTED, "since": time.time()}


def _alive(at: Data) -> bool:
    """Whether the process that makes a response is there. Of another host only the time is known."""
    if at["host"] != socket.gethostname():
        return time.time() - float(at["since"]) < LONGEST_SECONDS
    if at["pid"] == os.getpid():
        return bool(at["started"] == _STARTED)
    try:
        os.kill(at["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_STARTED = os.urandom(8).hex()
"""Tells this process from an earlier one of its number."""
