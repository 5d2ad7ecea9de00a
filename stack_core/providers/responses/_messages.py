"""From items to the messages of a chat."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import to_json

from stack_core.apis._item_actions import FileSearchResult
from stack_core.apis.inference import Message
from stack_core.errors import InvalidRequest, Unsupported
from stack_core.providers.responses._config import ResponsesConfig, VectorStoresConfig
from stack_core.providers.responses._files import FileReader
from stack_core.providers.responses._search import NAME, told
from stack_core.storage.records import Data

_MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(list[Message], config=ConfigDict(defer_build=True))
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
"""Role of a message → that of the chat's. `developer` is the newer name of `system`, which every service knows."""
_SEAL = "stack1."
"""How a compaction of ours begins."""


def sealed(summary: str) -> str:
    """A summary as a compaction item carries it."""
    return _SEAL + base64.urlsafe_b64encode(summary.encode()).decode()


def _unsealed(text: str) -> str:
    try:
        if not text.startswith(_SEAL):
            raise ValueError(text)
        return base64.urlsafe_b64decode(text.removeprefix(_SEAL)).decode()
    except ValueError as error:
        message = "input: a compaction item that was not made here cannot be read"
        raise InvalidRequest(message, "give the items themselves, or compact them with this stack") from error


class Writer:
    """Writes one chat.

    Args:
        reader: fetches what images and files are.
    """

    def __init__(self, reader: FileReader, config: ResponsesConfig) -> None:
        self._reader, self._config = reader, config
        self._search = config.vector_stores_config or VectorStoresConfig()
        self.messages: list[dict[str, Any]] = []
        self.cited: dict[str, str] = {}
        """Files that were found before, id → name."""
        self._open_calls: dict[str, str] = {}
        """Calls that have no result yet, id → name."""

    def system(self, text: str) -> None:
        """Instructions."""
        self.messages.append({"role": "system", "content": text})

    async def add(self, item: Data) -> None:
        """An item.

        Raises:
            InvalidRequest: a result without its call, or a compaction of somebody else's.
            Unsupported: an item that cannot be told to a model here.
        """
        kind = item["type"]
        if kind == "message":
            await self._message(item)
        elif kind == "function_call":
            self._call(item)
        elif kind == "function_call_output":
            await self._output(item)
        elif kind == "file_search_call":
            self._searched(item)
        elif kind == "compaction":
            summary = _unsealed(item["encrypted_content"])
            self.messages.append(
                {"role": "user", "content": f"{self._config.compaction_config.summary_prefix}\n{summary}"}
            )
        elif kind != "reasoning":  # services take no thoughts back: each answer is thought of anew
            raise Unsupported(f"input: items of the type {kind} are not available in this version")

    def done(self) -> list[Message]:
        """The messages.

        Raises:
            InvalidRequest: a call that has no result, or nothing to answer.
        """
        if self._open_calls:
            id, name = next(iter(self._open_calls.items()))
            hint = f'give {{"type": "function_call_output", "call_id": "{id}", "output": "…"}} in the input'
            raise InvalidRequest(f"input: the call {id} of {name} has no output", hint)
        if not self.messages:
            raise InvalidRequest("input: there is nothing to answer", "give a text, or messages")
        return _MESSAGES.validate_python(self.messages)

    async def _message(self, item: Data) -> None:
        role = _ROLES.get(item["role"])
        if role is None:
            raise Unsupported(f"input: messages of the role {item['role']} are not available here")
        content = await self._content(item["content"], plain=role != "user")
        last = self.messages[-1] if self.messages else {}
        if role == "assistant" and last.get("tool_calls") and last["role"] == "assistant":
            # What the model said after its calls belongs to the same turn: results must follow the calls at once.
            last["content"] = f"{last.get('content') or ''}{content}"
            return
        self.messages.append({"role": role, "content": content})

    def _call(self, item: Data) -> None:
        call = {"id": item["call_id"], "type": "function"}
        call["function"] = {"name": item["name"], "arguments": item["arguments"]}
        last = self.messages[-1] if self.messages else {}
        if last.get("role") == "assistant":
            last.setdefault("tool_calls", []).append(call)
        else:
            self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        self._open_calls[item["call_id"]] = item["name"]

    async def _output(self, item: Data) -> None:
        id = item["call_id"]
        if self._open_calls.pop(id, None) is None:
            hint = "give previous_response_id or conversation, or the function_call item before it"
            raise InvalidRequest(f"input: there is no call {id!r} that this output is of", hint)
        content = await self._content(item["output"], plain=True)
        self.messages.append({"role": "tool", "tool_call_id": id, "content": content})

    def _searched(self, item: Data) -> None:
        """An earlier search, as the model saw it. One whose passages the caller left out tells nothing."""
        if not item.get("results"):
            return
        results = [FileSearchResult.model_validate(row) for row in item["results"]]
        self.cited.update({row.file_id: row.filename or "" for row in results if row.file_id})
        arguments = to_json({"query": " ".join(item["queries"])}).decode()
        self._call({"call_id": item["id"], "name": NAME, "arguments": arguments})
        self._open_calls.pop(item["id"])
        text = told(results, item["queries"], self._search)
        self.messages.append({"role": "tool", "tool_call_id": item["id"], "content": text})

    async def _content(self, content: str | Sequence[Data], *, plain: bool) -> Any:
        """The content of a message: one text where all of it is text. `plain` is what has to be that."""
        if isinstance(content, str):
            return content
        parts = [part for each in content for part in await self._parts(each)]
        if all(part["type"] == "text" for part in parts) and (plain or len(parts) == 1):
            return "".join(part["text"] for part in parts)
        return parts

    async def _parts(self, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        kind = part["type"]
        if kind == "refusal":
            return [{"type": "text", "text": part["refusal"]}]
        if kind == "input_image":
            return [await self._reader.image(part)]
        if kind == "input_file":
            return [await self._reader.file(part)]
        if "text" in part:
            return [{"type": "text", "text": part["text"]}]
        raise Unsupported(f"input: content of the type {kind} is not available here")
