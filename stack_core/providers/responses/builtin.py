"""`inline::builtin`: responses, made by the stack itself from the models it has.

The loop is in `stack_core.turns`, which knows nothing of requests; `_input` gathers what a request refers to, `_script`
turns steps into items and events, `_store` keeps them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from stack_core import context
from stack_core.apis._response import (
    ConversationReference,
    ReasoningSettings,
    Response,
    ResponseFault,
    TextForm,
    TextSettings,
)
from stack_core.apis._response_events import StreamEvent
from stack_core.apis._response_tools import FileSearchTool
from stack_core.apis.conversations import Conversations
from stack_core.apis.file_processors import FileProcessors
from stack_core.apis.files import Files
from stack_core.apis.inference import Inference
from stack_core.apis.prompts import Prompts
from stack_core.apis.responses import (
    CompactedResponse,
    CompactResponseRequest,
    CountInputTokensRequest,
    CreateResponseRequest,
    DeletedResponse,
    GetResponseRequest,
    InputItemList,
    InputTokens,
    ListInputItemsRequest,
    ListResponsesRequest,
    ResponseList,
    Responses,
    ResponseWithInput,
)
from stack_core.apis.vector_stores import VectorStores
from stack_core.background import Background
from stack_core.errors import InvalidRequest, Unsupported
from stack_core.providers import provider
from stack_core.providers.responses import _compact
from stack_core.providers.responses._asking import ask
from stack_core.providers.responses._checked import check
from stack_core.providers.responses._config import ResponsesConfig, VectorStoresConfig
from stack_core.providers.responses._files import FileReader
from stack_core.providers.responses._ids import new_response_id
from stack_core.providers.responses._input import Inputs, Prepared, conversation_id
from stack_core.providers.responses._live import Live
from stack_core.providers.responses._making import Making
from stack_core.providers.responses._pages import cut
from stack_core.providers.responses._script import Script
from stack_core.providers.responses._search import NAME, FileSearch
from stack_core.providers.responses._store import OPEN, ResponseStore, presented, typed, whole
from stack_core.storage.records import Data
from stack_core.storage.sql import Sql
from stack_core.turns.loop import Loop

_EVENT: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent, config=ConfigDict(defer_build=True))
_WAIT = 0.5
"""Seconds between two looks at a response that another process makes."""


@provider("inline::builtin")
class BuiltinResponses(Responses):
    """Responses by this stack: the loop of models and tools, kept in its tables."""

    Config = ResponsesConfig

    def __init__(
        self,
        config: ResponsesConfig,
        *,
        inference: Inference | None,
        conversations: Conversations,
        prompts: Prompts,
        vector_stores: VectorStores,
        files: Files | None,
        file_processors: FileProcessors | None,
        responses: Sql,
    ) -> None:
        self._config = config
        self._inference, self._vector_stores = inference, vector_stores
        self._store = ResponseStore(responses)
        self._inputs = Inputs(self._store, config, FileReader(files, file_processors), conversations, prompts)
        self._background = Background()
        self._live: dict[str, Live] = {}
        self._closing = False

    async def shutdown(self) -> None:
        """Stop what is made in the background; it is kept as failed."""
        self._closing = True
        await self._background.close()

    # ---- making

    async def create_response(self, request: CreateResponseRequest) -> Response | AsyncIterator[StreamEvent]:
        """Answer an input.

        Raises:
            InvalidRequest: fields that do not go together, items that refer to nothing.
            Unsupported: fields and tools that this version does not serve.
            UnknownId: a response, conversation or vector store that is not there.
            NotFound: no such model.
            ProviderError: the model's service failed; the response is kept as failed.
        """
        check(request)
        response_id = new_response_id()
        prepared = await self._inputs.prepared(request, response_id)
        making = await self._making(request, prepared, response_id)
        if request.background:
            return await self._behind(request, prepared, making)
        if request.stream:
            return making.events()
        return await making.whole()

    async def _making(self, request: CreateResponseRequest, prepared: Prepared, response_id: str) -> Making:
        search = await self._search(request)
        asked = ask(request, {NAME: search} if search is not None else {})
        loop = Loop(self._models(), asked, prepared.messages)
        citing = self._config.vector_stores_config or VectorStoresConfig()
        reasoning = request.reasoning
        script = Script(
            _begun(request, response_id),
            include=request.include or (),
            files=prepared.cited,
            summary=reasoning is not None and (reasoning.summary or reasoning.generate_summary) is not None,
            cite=citing.annotation_prompt_params.enable_annotations,
        )

        async def keep(making: Making) -> None:
            await self._keep(request, prepared, making)

        return Making(loop, script, keep, queued=bool(request.background))

    def _models(self) -> Inference:
        if self._inference is None:
            raise Unsupported("no provider of inference is configured", "add one under providers.inference")
        return self._inference

    async def _search(self, request: CreateResponseRequest) -> FileSearch | None:
        for index, tool in enumerate(request.tools or ()):
            if isinstance(tool, FileSearchTool):
                settings = self._config.vector_stores_config or VectorStoresConfig()
                search = FileSearch(tool, self._vector_stores, settings, f"tools[{index}]")
                await search.check()
                return search
        return None

    async def _keep(self, request: CreateResponseRequest, prepared: Prepared, making: Making) -> None:
        """Write down how a response stands, and tell its conversation when it is over."""
        response, output = making.response, making.script.output
        if self._closing and response.status == "cancelled":
            fault = ResponseFault(code="server_error", message="the stack was closed before the response was made")
            response = response.model_copy(update={"status": "failed", "error": fault})
        if request.background:
            if not await self._store.put(response, output):
                return  # another process has cancelled or deleted it
        elif request.store is not False:
            await self._store.add(response, output, prepared.items, prepared.thread)
        if request.conversation is not None and response.status in ("completed", "incomplete"):
            made = whole(response, output)["output"]
            await self._inputs.append(request.conversation, prepared.before, [*prepared.items, *made])

    async def _behind(
        self, request: CreateResponseRequest, prepared: Prepared, making: Making
    ) -> Response | AsyncIterator[StreamEvent]:
        """Begin in the background."""
        first = making.response
        await self._store.add(first, [], prepared.items, prepared.thread)
        live = self._live[first.id] = Live()
        data = dict(context.provider_data.get())
        self._background.start(first.id, self._run(making, live), caller=context.user.get(), data=data)
        return live.follow(None) if request.stream else first  # type: ignore[return-value]  # its events are stream events

    async def _run(self, making: Making, live: Live) -> None:
        response = making.response
        try:
            async with aclosing(making.events()) as made:
                async for event in made:
                    live.add(event)
        finally:
            if making.response.status in OPEN:
                fault = {"code": "server_error", "message": "an internal error; the log has more"}
                await self._store.end(response.id, status="failed", error=fault)
            else:
                await self._store.put(making.response, making.script.output, live.events)
            live.end()
            del self._live[response.id]

    # ---- what is kept

    async def list_responses(self, request: ListResponsesRequest) -> ResponseList:
        """A page of the stored responses, each with the input it was given."""
        page = await self._store.page(request.after, request.limit, request.order, request.model)
        data = [
            ResponseWithInput.model_validate({**presented(row, None), "input": typed(row["input"], None)})
            for row in page.data
        ]
        return ResponseList(data=data, **page.ends())

    async def get_response(
        self, response_id: str, request: GetResponseRequest
    ) -> Response | AsyncIterator[StreamEvent]:
        """One stored response.

        Raises:
            UnknownId: there is none of this id; names the nearest.
            InvalidRequest: a stream of a response that was not made in the background.
        """
        row = await self._store.get(response_id)
        if request.include_obfuscation:
            raise Unsupported("include_obfuscation: pieces are not padded here", "leave it out")
        if not request.stream:
            if request.starting_after is not None:
                raise InvalidRequest("starting_after: it belongs to stream=True")
            return Response.model_validate(presented(row, request.include))
        if not row["response"]["background"]:
            raise InvalidRequest(f"stream: {response_id} was not made in the background", "leave out stream")
        return self._followed(response_id, request.starting_after)

    async def _followed(self, response_id: str, after: int | None) -> AsyncGenerator[StreamEvent, None]:
        """The events of a response: from this process while it is made here, else from the store when it is over."""
        if (live := self._live.get(response_id)) is not None:
            async for event in live.follow(after):
                yield event  # type: ignore[misc]  # an event of a stream
            return
        row = await self._over(response_id)
        for told in await self._store.events(response_id) or [_last_word(row)]:
            if after is None or told["sequence_number"] > after:
                yield _EVENT.validate_python(told)

    async def _over(self, response_id: str) -> Data:
        """The record of a response that another process makes, when it is over."""
        while True:
            row = await self._store.get(response_id)
            if row["response"]["status"] not in OPEN:
                return row
            await asyncio.sleep(_WAIT)

    async def delete_response(self, response_id: str) -> DeletedResponse:
        """Forget a response; one that is under way is stopped."""
        await self._store.get(response_id)
        await self._background.cancel(response_id)
        await self._store.remove(response_id)
        return DeletedResponse(id=response_id)

    async def cancel_response(self, response_id: str) -> Response:
        """Stop a response that is made in the background. One that is over stays as it is.

        Raises:
            UnknownId: there is none of this id; names the nearest.
            InvalidRequest: it is not of the background.
        """
        row = await self._store.get(response_id)
        if not row["response"]["background"]:
            message = f"{response_id} was not made in the background and cannot be cancelled"
            raise InvalidRequest(message, "close its stream instead")
        await self._background.cancel(response_id)
        row = await self._store.end(response_id, status="cancelled")
        return Response.model_validate(presented(row, None))

    async def list_input_items(self, response_id: str, request: ListInputItemsRequest) -> InputItemList:
        """A page of what a response was made from: its own input, after that of the responses it goes on from."""
        row = await self._store.get(response_id)
        earlier = await self._store.history({**row, "response": {**row["response"], "output": []}})
        items, ends = cut(earlier, request)
        return InputItemList(data=typed(items, request.include), **ends)

    # ---- beside

    async def compact_response(self, request: CompactResponseRequest) -> CompactedResponse:
        """Press a conversation together."""
        _compact.check(request)
        prepared = await self._inputs.prepared(request, new_response_id())
        return await _compact.compacted(request, prepared, self._models(), self._config.compaction_config)

    async def count_input_tokens(self, request: CountInputTokensRequest) -> InputTokens:
        """How many tokens an input would have: the model's service says it, in a call that generates one token.

        Raises:
            InvalidRequest: no model: tokens are the model's own.
            Unsupported: the service tells no counts.
        """
        if request.model is None:
            raise InvalidRequest("model: it is needed, for tokens are the model's own")
        whole_request = CreateResponseRequest.model_validate(request.model_dump(exclude_none=True, by_alias=True))
        check(whole_request)
        prepared = await self._inputs.prepared(whole_request, new_response_id())
        search = await self._search(whole_request)
        loop = Loop(self._models(), ask(whole_request, {NAME: search} if search else {}), prepared.messages)
        return InputTokens(input_tokens=await loop.count())


def _last_word(row: Data) -> Data:
    """The one event of a response whose events are lost: its process ended."""
    return {"type": "response.failed", "sequence_number": 0, "response": presented(row, None)}


def _begun(request: CreateResponseRequest, response_id: str) -> Response:
    """A response before anything of it is made."""
    conversation = request.conversation
    text = request.text or TextSettings()
    chosen: dict[str, Any] = {
        name: value
        for name in (
            "instructions", "max_output_tokens", "max_tool_calls", "previous_response_id", "prompt", "user",
            "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "tools",
        )
        if (value := getattr(request, name)) is not None
    }  # fmt: skip
    return Response(
        id=response_id,
        created_at=int(time.time()),
        status="queued" if request.background else "in_progress",
        background=bool(request.background),
        model=request.model or "",
        output=[],
        parallel_tool_calls=request.parallel_tool_calls is not False,
        conversation=ConversationReference(id=conversation_id(conversation)) if conversation is not None else None,
        reasoning=request.reasoning or ReasoningSettings(),
        store=request.store is not False,
        temperature=1.0 if request.temperature is None else request.temperature,
        text=text if text.format is not None else text.model_copy(update={"format": TextForm()}),
        tool_choice=request.tool_choice or "auto",
        top_logprobs=request.top_logprobs or 0,
        top_p=1.0 if request.top_p is None else request.top_p,
        truncation=request.truncation or "disabled",
        metadata=request.metadata or {},
        service_tier=request.service_tier or "default",
        frequency_penalty=request.frequency_penalty or 0.0,
        presence_penalty=request.presence_penalty or 0.0,
        **chosen,
    )
