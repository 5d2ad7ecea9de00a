"""A response, and the settings that it has in common with the request for it.

Shapes: OpenAI 2.3.0 (Responses), Llama Stack 0.3.5, OGX 0.8.0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from stack_core.apis._by_type import ByType, Maybe
from stack_core.apis._items import InputItem, OutputItem
from stack_core.apis._parts import Variables
from stack_core.apis._response_tools import ShownTool, ToolChoice
from stack_core.apis._shapes import Open

ResponseStatus = Literal["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"]
Truncation = Literal["auto", "disabled"]
CacheRetention = Literal["in-memory", "in_memory", "24h"]


class TextForm(Open):
    """Any text."""

    type: Literal["text"] = "text"


class JSONForm(Open):
    """JSON of any shape."""

    type: Literal["json_object"] = "json_object"


class JSONSchemaForm(Open):
    """JSON of this schema."""

    type: Literal["json_schema"] = "json_schema"
    name: str
    description: Maybe[str] = None
    schema_: Maybe[dict[str, Any]] = Field(None, alias="schema")
    strict: Maybe[bool] = None

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class TextSettings(Open):
    """What form the answer has, and how long it is."""

    format: Maybe[Annotated[TextForm | JSONForm | JSONSchemaForm, ByType("text format")]] = None
    verbosity: Maybe[Literal["low", "medium", "high"]] = None


class ReasoningSettings(Open):
    """How hard the model thinks, and whether it tells a summary."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Maybe[Literal["auto", "concise", "detailed"]] = Field(None, description="The older `summary`.")


class PromptReference(Open):
    """A stored prompt, its version where not the default one, and what its variables stand for."""

    id: str
    version: Maybe[str] = None
    variables: Maybe[Variables] = None


class ConversationReference(Open):
    """The conversation that a response belongs to."""

    id: str


class ResponseFault(Open):
    """Why a response failed."""

    code: str
    message: str


class IncompleteDetails(Open):
    """Why a response stopped early: max_output_tokens or content_filter."""

    reason: Maybe[str] = None


class InputTokensDetails(Open):
    """Of the input tokens, how many were cached."""

    cached_tokens: int = 0


class OutputTokensDetails(Open):
    """Of the output tokens, how many were reasoning."""

    reasoning_tokens: int = 0


class ResponseUsage(Open):
    """Token counts of a response."""

    input_tokens: int = 0
    input_tokens_details: InputTokensDetails = Field(default_factory=InputTokensDetails)
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails = Field(default_factory=OutputTokensDetails)
    total_tokens: int = 0


class Response(Open):
    """What a model made of its input: messages, calls of tools, reasoning. Times are Unix seconds."""

    id: str
    object: Literal["response"] = "response"
    created_at: int | float
    completed_at: int | float | None = None
    status: ResponseStatus | None = None
    background: bool | None = None
    error: ResponseFault | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | list[InputItem] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    model: str
    output: list[OutputItem] = []
    output_text: Maybe[str] = Field(None, description="The texts of the output as one.")
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    conversation: Maybe[ConversationReference] = None
    prompt: Maybe[PromptReference] = None
    reasoning: ReasoningSettings | None = None
    store: bool | None = None
    temperature: float | None = None
    text: TextSettings | None = None
    tool_choice: ToolChoice | None = None
    tools: list[ShownTool] = []
    top_logprobs: Maybe[int] = None
    top_p: float | None = None
    truncation: Truncation | None = None
    usage: ResponseUsage | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Maybe[CacheRetention] = None
    service_tier: Maybe[str] = None
    frequency_penalty: Maybe[float] = Field(None, description="OGX 0.8.0.")
    presence_penalty: Maybe[float] = Field(None, description="OGX 0.8.0.")
