"""Prompts: each with its versions in a table, so that two updates at once cannot both become the same version."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from stack_core import context
from stack_core.apis.prompts import CreatePromptRequest, Prompt, PromptList, Prompts, UpdatePromptRequest
from stack_core.builtin._ground import Ground
from stack_core.errors import Conflict, InvalidRequest, NotFound
from stack_core.storage.records import Data, Records
from stack_core.storage.sql import Column, Where

_USED = re.compile(r"{{\s*(\w+)\s*}}")


class PromptShelf(Prompts):
    """Answers the Prompts API.

    A prompt is a record that says which version is the default; each version is a record of its own, whose id holds
    its number: the table refuses the second of two.
    """

    def __init__(self, ground: Ground) -> None:
        sql = ground.sql("prompts")
        self._prompts = Records(sql, "prompts", "prompt")
        self._versions = Records(sql, "versions", "version", fields=(Column("prompt_id", "text", nullable=False),))

    async def list_prompts(self) -> PromptList:
        """The default version of every prompt, newest first."""
        heads = (await self._prompts.page(limit=None, owner=context.owner())).data
        wanted = [Where("id", "in", [_row_id(head["id"], head["default"]) for head in heads])]
        found = {row["prompt_id"]: row for row in (await self._versions.page(limit=None, where=wanted)).data}
        return _listed([_prompt(found[head["id"]], head) for head in heads if head["id"] in found])

    async def create_prompt(self, request: CreatePromptRequest) -> Prompt:
        """Keep a prompt.

        Raises:
            InvalidRequest: the text uses a variable that is not declared.
        """
        prompt_id = f"pmpt_{secrets.token_hex(24)}"
        head: Data = {"id": prompt_id, "default": 1}
        row = await self._keep(prompt_id, 1, request)
        await self._prompts.add(head, owner=context.owner())
        return _prompt(row, head)

    async def get_prompt(self, prompt_id: str, version: int | None = None) -> Prompt:
        """A version of a prompt, the default one where none is named.

        Raises:
            NotFound: there is no such prompt, or it has no such version; names those it has.
        """
        head = await self._head(prompt_id)
        return _prompt(await self._version(prompt_id, head["default"] if version is None else version), head)

    async def update_prompt(self, prompt_id: str, request: UpdatePromptRequest) -> Prompt:
        """Keep a new version.

        Raises:
            Conflict: `version` is not the latest: another update was first.
            InvalidRequest: the text uses a variable that is not declared.
        """
        head = await self._head(prompt_id)
        latest = (await self._all(prompt_id))[-1]["version"]
        if request.version != latest:
            raise _behind(prompt_id, request.version, latest)
        try:
            row = await self._keep(prompt_id, latest + 1, request)
        except Conflict as error:
            raise _behind(prompt_id, request.version, latest + 1) from error
        if request.set_as_default:
            # A later update may have come between; its version stays the default.
            head = await self._choose(prompt_id, lambda now: max(now, row["version"]))
        return _prompt(row, head)

    async def delete_prompt(self, prompt_id: str) -> None:
        """Forget a prompt with all its versions."""
        await self._prompts.remove(prompt_id, owner=context.owner())
        await self._versions.remove_all([Where("prompt_id", "=", prompt_id)])

    async def set_default_version(self, prompt_id: str, version: int) -> Prompt:
        """Say which version is given where none is asked for.

        Raises:
            NotFound: there is no such prompt, or it has no such version; names those it has.
        """
        await self._head(prompt_id)
        row = await self._version(prompt_id, version)
        return _prompt(row, await self._choose(prompt_id, lambda _: version))

    async def list_prompt_versions(self, prompt_id: str) -> PromptList:
        """All versions of a prompt, oldest first."""
        head = await self._head(prompt_id)
        return _listed([_prompt(row, head) for row in await self._all(prompt_id)])

    async def _head(self, prompt_id: str) -> Data:
        return await self._prompts.get(prompt_id, owner=context.owner())

    async def _all(self, prompt_id: str) -> list[Data]:
        found = await self._versions.page(limit=None, order="asc", where=[Where("prompt_id", "=", prompt_id)])
        return sorted(found.data, key=lambda row: int(row["version"]))

    async def _version(self, prompt_id: str, version: int) -> Data:
        row = await self._versions.find(_row_id(prompt_id, version))
        if row is None:
            known = [str(row["version"]) for row in await self._all(prompt_id)]
            raise NotFound(f"version of prompt {prompt_id}", str(version), known)
        return row

    async def _keep(self, prompt_id: str, version: int, request: CreatePromptRequest | UpdatePromptRequest) -> Data:
        variables = list(dict.fromkeys(request.variables or []))
        if unknown := [name for name in dict.fromkeys(_USED.findall(request.prompt)) if name not in variables]:
            raise _undeclared(unknown)
        row: Data = {
            "id": _row_id(prompt_id, version),
            "prompt_id": prompt_id,
            "version": version,
            "prompt": request.prompt,
            "variables": variables,
        }
        await self._versions.add(row, prompt_id=prompt_id)
        return row

    async def _choose(self, prompt_id: str, version: Callable[[int], int]) -> Data:
        """Make `version(the default now)` the default."""

        def chosen(head: Data) -> Data:
            return {**head, "default": version(head["default"])}

        return await self._prompts.change(prompt_id, chosen, owner=context.owner())


def _row_id(prompt_id: str, version: int) -> str:
    return f"{prompt_id}/{version}"


def _prompt(row: Data, head: Data) -> Prompt:
    return Prompt(
        prompt=row["prompt"],
        version=row["version"],
        prompt_id=row["prompt_id"],
        variables=row["variables"],
        is_default=row["version"] == head["default"],
    )


def _listed(prompts: Sequence[Prompt]) -> PromptList:
    ends: dict[str, Any] = {}
    if prompts:
        ends = {"first_id": prompts[0].prompt_id, "last_id": prompts[-1].prompt_id}
    return PromptList(data=list(prompts), **ends)


def _behind(prompt_id: str, given: int, latest: int) -> Conflict:
    hint = f"read version {latest} and send version={latest} with the update"
    return Conflict(f"version {given} is not the latest of prompt {prompt_id!r}: that is {latest}", hint)


def _undeclared(names: Sequence[str]) -> InvalidRequest:
    faults = [
        {"loc": ["prompt"], "msg": f"undeclared variable {name}", "type": "undeclared_variable"} for name in names
    ]
    listed = ", ".join(names)
    return InvalidRequest(
        f"the prompt uses undeclared variables: {listed}", f"add {listed} to variables", errors=faults
    )
