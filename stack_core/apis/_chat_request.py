"""What a chat completion is asked with. Shapes: OpenAI 2.3.0."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from stack_core.apis._chat_messages import Message, TextPart
from stack_core.apis._metadata import Metadata
from stack_core.apis._shapes import Open


class FunctionSpec(Open):
    """A function that a model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Grammar(Open):
    """A grammar and the language that it is written in: lark or regex."""

    definition: str
    syntax: str


class CustomFormat(Open):
    """What form the input of a custom tool has: any text, or that of a grammar."""

    type: str = "text"
    grammar: Grammar | None = None


class CustomSpec(Open):
    """A custom tool: the model calls it with a text rather than with JSON."""

    name: str
    description: str | None = None
    format: CustomFormat | None = None


class Tool(Open):
    """A tool that a model may call."""

    type: str = "function"
    function: FunctionSpec | None = None
    custom: CustomSpec | None = None


class ToolName(Open):
    """A function or custom tool by its name."""

    name: str


class AllowedTools(Open):
    """The model may use these tools only; with the mode `required` it must use one."""

    mode: str = "auto"
    tools: list[dict[str, Any]] = []


class ToolChoice(Open):
    """The tool that the model must use, or those that it may."""

    type: str = "function"
    function: ToolName | None = None
    custom: ToolName | None = None
    allowed_tools: AllowedTools | None = None


class JSONSchemaSpec(Open):
    """A named JSON Schema for an answer."""

    name: str = "answer"
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None

    model_config = ConfigDict(extra="allow", populate_by_name=True, serialize_by_alias=True)


class ResponseFormat(Open):
    """What form an answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JSONSchemaSpec | None = None


class Voice(Open):
    """A voice of the caller's own."""

    id: str


class AudioSettings(Open):
    """In which voice and format the model speaks."""

    voice: str | Voice
    format: str


class Prediction(Open):
    """What the answer will mostly be, such as a file that is to be changed a little."""

    type: Literal["content"] = "content"
    content: str | list[TextPart]


class Place(Open):
    """Two-letter country, region, city, IANA time zone."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class UserLocation(Open):
    """About where the asker is."""

    type: Literal["approximate"] = "approximate"
    approximate: Place


class WebSearchOptions(Open):
    """How the model searches the web, where it can."""

    user_location: UserLocation | None = None
    search_context_size: str | None = None


class StreamOptions(Open):
    """`include_usage` asks for a last chunk that carries the token counts, `include_obfuscation` for padding that hides
    how long the pieces are, where the service has that."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CompletionParams(Open):
    """Sampling parameters that chat and plain completions share."""

    model: str = Field(description="Model id: provider_id/upstream_id, or a registered alias.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Penalty for tokens by how often they came.")
    logit_bias: dict[str, float] | None = Field(None, description="Token id → bias from -100 to 100.")
    max_tokens: int | None = Field(None, ge=0, description="Most tokens to generate.")
    n: int | None = Field(None, ge=1, le=128, description="How many answers.")
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Penalty for tokens that came at all.")
    seed: int | None = Field(None, description="Same seed, same answer, as far as the service can.")
    stop: str | list[str] | None = Field(None, description="Text at which generation ends.")
    stream: bool | None = Field(None, description="Give the answer in pieces as it is made.")
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2, description="0 is greedy.")
    top_p: float | None = Field(None, ge=0, le=1, description="Nucleus sampling: the mass of tokens considered.")
    user: str | None = Field(None, description="Who asks, for the service's abuse checks.")


class ChatCompletionRequest(CompletionParams):
    """Arguments of `chat_completion`."""

    messages: list[Message] = Field(min_length=1, description="The conversation so far.")
    audio: AudioSettings | None = None
    function_call: str | ToolName | None = None
    functions: list[FunctionSpec] | None = None
    logprobs: bool | None = Field(None, description="Give log-probabilities of the answer's tokens.")
    max_completion_tokens: int | None = Field(None, ge=0, description="Most tokens to generate, reasoning included.")
    metadata: Metadata | None = None
    modalities: list[str] | None = None
    parallel_tool_calls: bool | None = None
    prediction: Prediction | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = Field(None, description="False leaves this completion out of the store.")
    tool_choice: str | ToolChoice | None = None
    tools: list[Tool] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20, description="Alternatives to give for each token.")
    verbosity: str | None = None
    web_search_options: WebSearchOptions | None = None
