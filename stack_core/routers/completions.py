"""What the stack adds to inference: answers carry the model's name as the caller wrote it, usage is noted for telemetry
and shown in a stream only to who asked, and chat completions are stored."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from stack_core import context
from stack_core.apis._call import Call, Handler, close
from stack_core.apis.inference import (
    ChatCompletionRequest,
    DeletedChatCompletion,
    ListCompletionsRequest,
    ListMessagesRequest,
    Message,
    StoredChatCompletion,
    StoredChatCompletionList,
    StoredMessage,
    StoredMessageList,
    UpdateCompletionRequest,
)
from stack_core.errors import InvalidRequest, StackError, Unsupported
from stack_core.routers.gather import Gathered
from stack_core.storage.completions import JsonSource, StoredCompletions

log = logging.getLogger(__name__)
_MESSAGES = TypeAdapter(list[Message])


class Completions:
    """The stored chat completions, and the middleware that fills them.

    Args:
        store: where they are kept; None where the run file has no table for them.
        reason: why there is no store.
    """

    def __init__(
        self, store: StoredCompletions | None, reason: str = "the run file names no storage.stores.inference"
    ) -> None:
        self._store, self._reason = store, reason

    async def middleware(self, call: Call, proceed: Handler) -> Any:
        """Wrap the inference calls; others pass."""
        if call.route.api != "inference" or call.route.key is None:
            return await proceed(call)
        request = call.args["request"]
        if isinstance(request, ChatCompletionRequest) and (request.store is not None or request.metadata is not None):
            # Storing is this stack's doing: most services refuse the two fields.
            call.args = {**call.args, "request": request.model_copy(update={"store": None, "metadata": None})}
        result = await proceed(call)
        if hasattr(result, "__aiter__"):
            chat = call.route.name == "chat_completion"
            return self._stream(call, request, result, chat)
        if hasattr(result, "model"):
            result.model = call.model
        call.usage = getattr(result, "usage", None)
        if isinstance(request, ChatCompletionRequest):
            if request.metadata:
                result.metadata = request.metadata
            await self._keep(request, result.id, result.created, partial(result.model_dump_json, exclude_none=True))
        return result

    async def _stream(self, call: Call, request: Any, items: AsyncIterator[Any], chat: bool) -> AsyncIterator[Any]:
        wanted = bool(request.stream_options and request.stream_options.include_usage)
        gathered = Gathered() if chat else None
        model = call.model
        try:
            async for item in items:
                item.model = model
                if gathered is not None:
                    gathered.add(item)
                if item.usage is not None:
                    call.usage = item.usage
                    if not wanted:
                        if not item.choices:
                            continue
                        item.usage = None
                yield item
        finally:
            await close(items)
        if gathered is not None and (whole := gathered.completion()) is not None:
            await self._keep(request, whole["id"], whole["created"], {**whole, "metadata": request.metadata})

    async def _keep(self, request: ChatCompletionRequest, id: str, created: int, completion: JsonSource) -> None:
        """Store an answer. One that cannot be stored is still given to the caller; the log says what was lost."""
        if self._store is None or request.store is False:
            return
        try:
            await self._store.add(
                id=id,
                created=created,
                model=request.model,
                completion=completion,
                input_messages=partial(_MESSAGES.dump_json, request.messages, exclude_none=True),
                owner=context.owner(),
            )
        except StackError as error:
            log.error("completion %s was not stored: %s", id, error.message)

    async def list_chat_completions(self, request: ListCompletionsRequest) -> StoredChatCompletionList:
        """A page of stored completions."""
        page = await self._required().list(
            after=request.after,
            limit=request.limit,
            model=request.model,
            metadata=request.metadata,
            order=request.order,
            owner=context.owner(),
        )
        data = [StoredChatCompletion.model_validate(row) for row in page.data]
        return StoredChatCompletionList(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=page.has_more,
        )

    async def get_chat_completion(self, completion_id: str) -> StoredChatCompletion:
        """One stored completion."""
        return StoredChatCompletion.model_validate(await self._required().get(completion_id, owner=context.owner()))

    async def update_chat_completion(
        self, completion_id: str, request: UpdateCompletionRequest
    ) -> StoredChatCompletion:
        """Replace the metadata of a stored completion."""
        row = await self._required().update(completion_id, request.metadata or {}, owner=context.owner())
        return StoredChatCompletion.model_validate(row)

    async def delete_chat_completion(self, completion_id: str) -> DeletedChatCompletion:
        """Forget a stored completion."""
        await self._required().remove(completion_id, owner=context.owner())
        return DeletedChatCompletion(id=completion_id)

    async def list_chat_completion_messages(
        self, completion_id: str, request: ListMessagesRequest
    ) -> StoredMessageList:
        """A page of what a stored completion was asked with."""
        row = await self._required().get(completion_id, owner=context.owner())
        messages = [_stored(f"{completion_id}-{index}", message) for index, message in enumerate(row["input_messages"])]
        if request.order == "desc":
            messages.reverse()
        start = 0
        if request.after is not None:
            ids = [message.id for message in messages]
            if request.after not in ids:
                hint = "give the id of a message of this very completion"
                raise InvalidRequest(f"after: {completion_id} has no message {request.after!r}", hint)
            start = ids.index(request.after) + 1
        data = messages[start : start + request.limit]
        return StoredMessageList(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=start + request.limit < len(messages),
        )

    def _required(self) -> StoredCompletions:
        if self._store is None:
            raise Unsupported(f"completions are not stored here: {self._reason}")
        return self._store


def _stored(id: str, message: dict[str, Any]) -> StoredMessage:
    """A message of a stored completion, as the list of its messages shows it: content in parts also as one text."""
    content = message.get("content")
    if not isinstance(content, list):
        return StoredMessage.model_validate({**message, "id": id})
    texts = [part["text"] for part in content if part.get("type") == "text"]
    return StoredMessage.model_validate(
        {**message, "id": id, "content": "".join(texts) if texts else None, "content_parts": content}
    )
