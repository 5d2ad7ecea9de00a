"""Responses: a model answers with the stack's tools, and what it said is kept (OpenAI's Responses API).

Shapes: OpenAI 2.3.0, with what Llama Stack 0.3.5 and OGX 0.8.0 add: `guardrails`, `max_infer_iters`, the list of all
responses, `before` in the list of input items, and more of `compact`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._items import Include, Includes, InputItem, StoredItem
from stack_core.apis._response import (
    CacheRetention,
    ConversationReference,
    PromptReference,
    ReasoningSettings,
    Response,
    ResponseUsage,
    TextSettings,
    Truncation,
)
from stack_core.apis._response_events import StreamEvent
from stack_core.apis._response_tools import Tool, ToolChoice
from stack_core.apis._shapes import Listing, Open, Order, Shape, Strict

Input = str | list[InputItem]


class ResponseStreamOptions(Strict):
    """`include_obfuscation` asks for padding that hides how long the pieces are."""

    include_obfuscation: bool | None = None


class ContextManagement(Strict):
    """When the conversation is pressed together: `compact_threshold` is in tokens."""

    type: Literal["compaction"] = "compaction"
    compact_threshold: int | None = Field(None, ge=1)


class GuardrailSpec(Open):
    """A guardrail by its type (OGX 0.8.0)."""

    type: str


Guardrail = str | GuardrailSpec
"""A shield's id, or a mapping that says of which type it is."""


class CreateResponseRequest(Strict):
    """Arguments of `create_response`."""

    input: Input | None = Field(None, description="A text, or items: messages, results of tools, references.")
    model: str | None = Field(None, description="Model id: provider_id/upstream_id, or a registered alias.")
    background: bool | None = Field(None, description="Answer at once; the response is made afterwards.")
    context_management: list[ContextManagement] | None = None
    conversation: str | ConversationReference | None = Field(None, description="Its items go before the input.")
    guardrails: list[Guardrail] | None = Field(None, description="Shields that input and output must pass.")
    include: list[Include] | None = Field(None, description="What is given beside the plain items.")
    instructions: str | None = Field(None, description="A system message for this response alone.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    max_infer_iters: int | None = Field(None, ge=1, description="Most calls of the model (Llama Stack).")
    max_output_tokens: int | None = Field(None, ge=1, description="Most tokens to generate, reasoning included.")
    max_tool_calls: int | None = Field(None, ge=1, description="Most calls of the stack's own tools.")
    metadata: dict[str, str] | None = Field(None, description="Up to 16 pairs of the caller's own.")
    parallel_tool_calls: bool | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    previous_response_id: str | None = Field(None, description="The response that this one goes on from.")
    prompt: PromptReference | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: CacheRetention | None = None
    reasoning: ReasoningSettings | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = Field(None, description="False: the response cannot be asked for later.")
    stream: bool | None = Field(None, description="Give the response in events as it is made.")
    stream_options: ResponseStreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2, description="0 is greedy.")
    text: TextSettings | None = None
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    top_p: float | None = Field(None, ge=0, le=1)
    truncation: Truncation | None = None
    user: str | None = Field(None, description="The older name of safety_identifier and prompt_cache_key.")


class ListResponsesRequest(Strict):
    """Arguments of `list_responses`."""

    after: str | None = Field(None, description="Id of the last response of the page before.")
    limit: int = Field(50, ge=1, le=100)
    model: str | None = Field(None, description="Only responses of this model.")
    order: Order = "desc"


class GetResponseRequest(Strict):
    """What to give beside the response, and whether to stream it: the events after `starting_after`."""

    include: Includes | None = None
    stream: bool | None = None
    starting_after: int | None = Field(None, ge=0, description="The sequence number of the last event seen.")
    include_obfuscation: bool | None = None


class ListInputItemsRequest(Strict):
    """Which page of a response's input."""

    after: str | None = None
    before: str | None = None
    include: Includes | None = None
    limit: int = Field(20, ge=1, le=100)
    order: Order = "desc"


class CompactResponseRequest(Strict):
    """Arguments of `compact_response`."""

    model: str
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: CacheRetention | None = None
    service_tier: str | None = None
    tools: list[Tool] | None = Field(None, description="OGX 0.8.0.")
    parallel_tool_calls: bool | None = Field(None, description="OGX 0.8.0.")
    reasoning: ReasoningSettings | None = Field(None, description="OGX 0.8.0.")
    text: TextSettings | None = Field(None, description="OGX 0.8.0.")


class CountInputTokensRequest(Strict):
    """Arguments of `count_input_tokens`: those of `create_response` that a prompt is made from."""

    model: str | None = None
    input: Input | None = None
    conversation: str | ConversationReference | None = None
    instructions: str | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: ReasoningSettings | None = None
    text: TextSettings | None = None
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    truncation: Truncation | None = None


class ResponseWithInput(Response):
    """A response with what it was made from."""

    input: list[StoredItem] = []


class ResponseList(Listing[ResponseWithInput]):
    """A page of responses."""


class InputItemList(Listing[StoredItem]):
    """A page of a response's input."""


class DeletedResponse(Shape):
    """A response that is there no more."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class CompactedResponse(Open):
    """A conversation pressed together: items that stand for it in a later request."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[StoredItem]
    usage: ResponseUsage = Field(default_factory=ResponseUsage)


class InputTokens(Shape):
    """How many tokens an input has."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class Responses(Protocol):
    """Responses: a model answers with the stack's tools, and what it said is kept (OpenAI's Responses API)."""

    @route("POST", "/responses", sdk="responses.create")
    async def create_response(self, request: CreateResponseRequest) -> Response | AsyncIterator[StreamEvent]:
        """Answer an input, with tools where the model wants them; with `stream=True` in events."""
        ...

    @route("GET", "/responses", sdk="responses.list")
    async def list_responses(self, request: ListResponsesRequest) -> ResponseList:
        """A page of the stored responses, each with its input."""
        ...

    @route("POST", "/responses/compact", sdk="responses.compact")
    async def compact_response(self, request: CompactResponseRequest) -> CompactedResponse:
        """Press a long conversation together."""
        ...

    @route("POST", "/responses/input_tokens", sdk="responses.input_tokens.count")
    async def count_input_tokens(self, request: CountInputTokensRequest) -> InputTokens:
        """How many tokens an input would have."""
        ...

    @route("GET", "/responses/{response_id}", sdk="responses.retrieve")
    async def get_response(
        self, response_id: str, request: GetResponseRequest
    ) -> Response | AsyncIterator[StreamEvent]:
        """One stored response; with `stream=True` the events of one that is still being made, or was made so."""
        ...

    @route("DELETE", "/responses/{response_id}", sdk="responses.delete")
    async def delete_response(self, response_id: str) -> DeletedResponse:
        """Forget a response."""
        ...

    @route("POST", "/responses/{response_id}/cancel", sdk="responses.cancel")
    async def cancel_response(self, response_id: str) -> Response:
        """Stop a response that is made in the background."""
        ...

    @route("GET", "/responses/{response_id}/input_items", sdk="responses.input_items.list")
    async def list_input_items(self, response_id: str, request: ListInputItemsRequest) -> InputItemList:
        """A page of what a response was made from."""
        ...
