"""Stored chat completions: what was asked, what was answered, by whom; listed newest first and paged by id.

`add` returns once its row is in the store, so a completion that a caller has seen stored survives a kill. With many
calls at once they share one commit, and the JSON is made in the writer's thread.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from stack_core.errors import Conflict, InvalidRequest, NotFound
from stack_core.storage.sql import Column, Row, Sql, Table, Where

JsonSource = Mapping[str, Any] | Sequence[Any] | Callable[[], str | bytes]
"""Plain data, or a function that gives JSON text, such as `completion.model_dump_json`."""

LOOKED_THROUGH = 200
"""How many rows are read at a time where metadata is looked for."""
SUGGESTED = 50
"""How many of the newest ids are looked at for the nearest one."""


@dataclass(frozen=True)
class Page:
    """Completions in the order asked for, each a plain dict with its `input_messages`."""

    data: list[dict[str, Any]]
    has_more: bool


class StoredCompletions:
    """The repository. `table` is the run file's `storage.stores.inference.table_name`."""

    def __init__(self, sql: Sql, table: str = "inference_store") -> None:
        self._sql = sql
        self._table = Table(
            table,
            (
                Column("id", "text", primary=True),
                Column("created", "integer", nullable=False),
                Column("position", "integer", nullable=False),
                Column("model", "text", nullable=False),
                Column("owner", "text"),
                Column("completion", "json", nullable=False),
                Column("input_messages", "json", nullable=False),
            ),
            indexes=(("created", "position"), ("model", "created", "position")),
        )
        self._last = 0
        self._repeated: set[str] = set()

    async def open(self) -> None:
        """Make the table where it is missing.

        Raises:
            StoreUnavailable: the store cannot be opened or written.
        """
        await self._sql.ensure(self._table)

    async def add(
        self,
        *,
        id: str,
        created: int,
        model: str,
        completion: JsonSource,
        input_messages: JsonSource,
        owner: str | None = None,
    ) -> str:
        """Store a completion, and wait until it is durable; gives the id it is stored under.

        Some services give every answer the same id. Such an answer is stored as well, under that id and a suffix.
        """
        await self.open()
        # Rises with each call, so that completions of one second keep their order.
        self._last = max(self._last + 1, time.time_ns())
        row = {
            "id": id,
            "created": created,
            "position": self._last,
            "model": model,
            "owner": owner,
            "completion": completion,
            "input_messages": input_messages,
        }
        if id not in self._repeated:
            try:
                await self._sql.insert(self._table.name, [row])
            except Conflict:
                self._repeated.add(id)
            else:
                return id
        unique = f"{id}-{uuid4().hex[:12]}"
        await self._sql.insert(self._table.name, [{**row, "id": unique}])
        return unique

    async def get(self, id: str, *, owner: str | None = None) -> dict[str, Any]:
        """One completion. With an `owner`, only what is theirs.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        return _completion(await self._row(id, owner))

    async def update(self, id: str, metadata: Mapping[str, str], *, owner: str | None = None) -> dict[str, Any]:
        """Replace the metadata of one completion; gives the completion.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        row = await self._row(id, owner)
        row["completion"] = {**row["completion"], "metadata": dict(metadata)}
        if not await self._sql.update(self._table.name, {"completion": row["completion"]}, [Where("id", "=", id)]):
            raise await self._absent(id, owner)
        return _completion(row)

    async def remove(self, id: str, *, owner: str | None = None) -> None:
        """Forget one completion.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        await self.open()
        if not await self._sql.delete(self._table.name, [Where("id", "=", id), *_owned(owner)]):
            raise await self._absent(id, owner)

    async def list(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        order: Literal["asc", "desc"] = "desc",
        owner: str | None = None,
    ) -> Page:
        """A page by creation time; `after` is the id of the last completion of the page before. With `metadata`, only
        completions that have all these pairs: they are looked for row by row, from the page's beginning on.

        Raises:
            InvalidRequest: there is no completion `after`.
        """
        await self.open()
        same = [Where("model", "=", model)] if model is not None else []
        same = [*same, *_owned(owner)]
        last: Row | None = None
        if after is not None:
            try:
                last = await self._row(after, owner)
            except NotFound as error:
                raise InvalidRequest(f"after: {error.message}", "give the id of a completion that is stored") from error
        found: builtins.list[Row] = []
        most = limit + 1
        while len(found) < most:
            wanted = most if not metadata else max(most, LOOKED_THROUGH)
            rows = await self._beyond(last, same, order, wanted)
            found += [row for row in rows if not metadata or _has(row, metadata)]
            if len(rows) < wanted or not metadata:
                break
            last = rows[-1]
        return Page([_completion(row) for row in found[:limit]], len(found) > limit)

    async def _beyond(
        self, last: Row | None, same: Sequence[Where], order: Literal["asc", "desc"], limit: int
    ) -> builtins.list[Row]:
        """The rows that come after `last`, or the first ones."""
        if last is None:
            return await self._select(same, order, limit)
        beyond: Literal["<", ">"] = ">" if order == "asc" else "<"
        within = [*same, Where("created", "=", last["created"]), Where("position", beyond, last["position"])]
        rows = await self._select(within, order, limit)
        if len(rows) < limit:
            rows += await self._select([*same, Where("created", beyond, last["created"])], order, limit - len(rows))
        return rows

    async def _select(self, where: Sequence[Where], order: Literal["asc", "desc"], limit: int) -> builtins.list[Row]:
        by: Sequence[tuple[str, Literal["asc", "desc"]]] = [("created", order), ("position", order)]
        return await self._sql.select(self._table.name, where, order=by, limit=limit)

    async def _row(self, id: str, owner: str | None) -> Row:
        await self.open()
        found = await self._sql.select(self._table.name, [Where("id", "=", id), *_owned(owner)])
        if not found:
            raise await self._absent(id, owner)
        return found[0]

    async def _absent(self, id: str, owner: str | None) -> NotFound:
        newest = await self._select(_owned(owner), "desc", SUGGESTED)
        return NotFound("chat completion", id, [row["id"] for row in newest])


def _owned(owner: str | None) -> Sequence[Where]:
    return [] if owner is None else [Where("owner", "=", owner)]


def _has(row: Row, metadata: Mapping[str, str]) -> bool:
    return metadata.items() <= (row["completion"].get("metadata") or {}).items()


def _completion(row: Row) -> dict[str, Any]:
    return {**row["completion"], "id": row["id"], "input_messages": row["input_messages"]}
