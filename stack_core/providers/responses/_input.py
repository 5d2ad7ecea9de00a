"""What a response is made from: what came before, the prompt, the instructions and the new input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stack_core.apis._items import InputItem, ItemReference, Message
from stack_core.apis._kept_items import kept
from stack_core.apis._parts import InputText
from stack_core.apis._response import ConversationReference, PromptReference
from stack_core.apis.conversations import Conversations, CreateItemsRequest, ListItemsRequest
from stack_core.apis.inference import Message as ChatMessage
from stack_core.apis.prompts import Prompts
from stack_core.errors import InvalidRequest, Unsupported
from stack_core.providers.responses import _ids
from stack_core.providers.responses._config import ResponsesConfig
from stack_core.providers.responses._files import FileReader
from stack_core.providers.responses._messages import Writer
from stack_core.providers.responses._store import OPEN, ResponseStore
from stack_core.storage.records import Data

_NAME = re.compile(r"{{\s*([^{}]+?)\s*}}")
AT_ONCE = 20
"""Items that the Conversations API takes in one call."""
PAGE = 100
"""Items that it gives in one."""


@dataclass
class Prepared:
    """`before` are the items that came before, `items` is the new input as it is kept, `thread` the ids of the
    responses before, `messages` all of it as a chat, `cited` the files that were found before."""

    before: list[Data]
    items: list[Data]
    thread: list[str]
    messages: list[ChatMessage]
    cited: dict[str, str]


class Inputs:
    """Gathers inputs."""

    def __init__(
        self,
        store: ResponseStore,
        config: ResponsesConfig,
        reader: FileReader,
        conversations: Conversations,
        prompts: Prompts,
    ) -> None:
        self._store, self._config, self._reader = store, config, reader
        self._conversations, self._prompts = conversations, prompts

    async def prepared(self, request: Any, response_id: str) -> Prepared:
        """All that a request refers to, as a chat. The request may be any of the three that have an input.

        Raises:
            UnknownId: a response or a conversation that is not there.
            InvalidRequest: an item that refers to nothing, or a call without its result.
        """
        thread, before = await self._before(request)
        items = await self._own(request.input, before, response_id)
        writer = Writer(self._reader, self._config)
        if request.instructions:
            writer.system(request.instructions)
        if (prompt := getattr(request, "prompt", None)) is not None:
            text = await self._prompt(prompt)
            # A prompt alone is what is asked: most models answer nothing to instructions alone.
            await writer.add({"type": "message", "role": "system" if before or items else "user", "content": text})
        for item in (*before, *items):
            await writer.add(item)
        return Prepared(before, items, thread, writer.done(), writer.cited)

    async def append(
        self, conversation: str | ConversationReference, before: Sequence[Data], items: Sequence[Data]
    ) -> None:
        """Add to a conversation what it does not have yet; `before` is what it had."""
        id, there = conversation_id(conversation), {item["id"] for item in before}
        new = [item for item in items if item["id"] not in there]
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            await self._conversations.create_items(id, CreateItemsRequest.model_validate({"items": part}))

    async def _before(self, request: Any) -> tuple[list[str], list[Data]]:
        """(ids of the responses before, items of all that came before)"""
        if request.previous_response_id is not None:
            row = await self._store.get(request.previous_response_id)
            if row["response"]["status"] in OPEN:
                message = f"previous_response_id: {row['id']} is {row['response']['status']}"
                raise InvalidRequest(message, "wait until it is over, or cancel it")
            return [*row["thread"], row["id"]], await self._store.history(row)
        if (conversation := getattr(request, "conversation", None)) is not None:
            return [], await self._said(conversation_id(conversation))
        return [], []

    async def _said(self, id: str) -> list[Data]:
        items: list[Data] = []
        after: str | None = None
        while True:
            include = ["file_search_call.results", "message.input_image.image_url", "message.output_text.logprobs"]
            asked = {"after": after, "limit": PAGE, "order": "asc", "include": include}
            page = await self._conversations.list_items(id, ListItemsRequest.model_validate(asked))
            items += [item.model_dump(mode="json", by_alias=True) for item in page.data]
            if not page.has_more:
                return items
            after = page.last_id

    async def _own(self, given: str | list[InputItem] | None, before: list[Data], response_id: str) -> list[Data]:
        """The new input, with what references mean in their place."""
        if given is None:
            return []
        listed: list[Any] = [Message(role="user", content=given)] if isinstance(given, str) else given
        there = {item["id"] for item in before}
        items: list[Data] = []
        for index, item in enumerate(listed):
            if isinstance(item, ItemReference):
                if item.id in there:
                    continue  # it is said already
                data = await self._referred(item.id, index)
            else:
                data = kept(item)
                if item.id is None:
                    data["id"] = _ids.item_id(data["type"], response_id, _ids.INPUT + index)
            items.append(data)
        return items

    async def _referred(self, id: str, index: int) -> Data:
        row = await self._store.find(_ids.response_of(id))
        held = [*row["input"], *row["response"]["output"]] if row is not None else []
        for item in held:
            if item["id"] == id:
                return dict(item)
        raise InvalidRequest(f"input[{index}].id: no item {id!r} is kept", "give the item itself")

    async def _prompt(self, reference: PromptReference) -> str:
        """The text of a stored prompt with its variables filled in."""
        version = reference.version
        if version is not None and not version.isdecimal():
            raise InvalidRequest(f"prompt.version: {version!r} is no number", "versions are 1, 2, 3, …")
        prompt = await self._prompts.get_prompt(reference.id, int(version) if version is not None else None)
        given = {name: _text_of(name, value) for name, value in (reference.variables or {}).items()}
        if unknown := sorted(given.keys() - set(prompt.variables)):
            hint = f"it has {', '.join(prompt.variables) or 'none'}"
            raise InvalidRequest(f"prompt.variables: the prompt has no variable {', '.join(unknown)}", hint)
        if missing := sorted(set(prompt.variables) - given.keys()):
            raise InvalidRequest(f"prompt.variables: {', '.join(missing)} must be given")
        return _filled(prompt.prompt or "", given)


def conversation_id(given: str | ConversationReference) -> str:
    """The id of a conversation, however it is given."""
    return given if isinstance(given, str) else given.id


def _text_of(name: str, value: Any) -> str:
    if isinstance(value, InputText):
        return value.text
    if not isinstance(value, str):
        raise Unsupported(f"prompt.variables.{name}: {value.type} is not available here", "give it in the input")
    return value


def _filled(text: str, values: dict[str, str]) -> str:
    """Each `{{ name }}` once: a value that looks like one stays as it is."""
    return _NAME.sub(lambda found: values.get(found[1], found[0]), text)
