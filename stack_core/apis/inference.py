"""Inference: chat completions, completions, embeddings, rerank and the completions that were stored.

The shapes are OpenAI's (API 2.3.0), with Llama Stack's rerank. Fields that vendors add are kept (`extra="allow"`), both
in requests, where they are passed to the service, and in results.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, Protocol

from pydantic import ConfigDict, Field

from stack_core.apis._declare import route
from stack_core.apis._shapes import Open, Shape, Strict, absent

# ---- what goes in -----------------------------------------------------------------------------------------------


class TextPart(Open):
    """A piece of text in a message."""

    type: Literal["text"] = "text"
    text: str


class ImageURL(Open):
    """Where an image is: an http(s) URL or a `data:` URL with base64 content."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Open):
    """An image in a message."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL


class InputAudio(Open):
    """Base64 audio and its format."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Open):
    """Audio in a message."""

    type: Literal["input_audio"] = "input_audio"
    input_audio: InputAudio


class FileData(Open):
    """A file by its content (base64) or by its id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Open):
    """A file in a message."""

    type: Literal["file"] = "file"
    file: FileData


class RefusalPart(Open):
    """What a model said in place of an answer."""

    type: Literal["refusal"] = "refusal"
    refusal: str


Part = Annotated[TextPart | ImagePart | AudioPart | FilePart | RefusalPart, Field(discriminator="type")]
Content = str | list[Part]


class FunctionCall(Open):
    """A call of a function: its name and its arguments as JSON text, as the model wrote them."""

    name: str = ""
    arguments: str = ""


class ToolCall(Open):
    """A call of a tool; its result comes back in a message with this id as `tool_call_id`."""

    id: str = ""
    type: str = "function"
    function: FunctionCall = Field(default_factory=FunctionCall)


class SystemMessage(Open):
    """Instructions from whoever builds the application."""

    role: Literal["system"] = "system"
    content: Content
    name: str | None = None


class DeveloperMessage(Open):
    """The newer name of the system message."""

    role: Literal["developer"] = "developer"
    content: Content
    name: str | None = None


class UserMessage(Open):
    """What a person asks."""

    role: Literal["user"] = "user"
    content: Content
    name: str | None = None


class AssistantMessage(Open):
    """What a model answered before."""

    role: Literal["assistant"] = "assistant"
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None


class ToolMessage(Open):
    """The result of a tool call."""

    role: Literal["tool"] = "tool"
    tool_call_id: str
    content: Content


class FunctionMessage(Open):
    """The older form of a tool's result."""

    role: Literal["function"] = "function"
    name: str
    content: str | None


Message = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]


class FunctionSpec(Open):
    """A function that a model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Open):
    """A tool that a model may call."""

    type: str = "function"
    function: FunctionSpec | None = None


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


class StreamOptions(Open):
    """`include_usage` asks for a last chunk that carries the token counts."""

    include_usage: bool | None = None


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
    audio: dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    functions: list[FunctionSpec] | None = None
    logprobs: bool | None = Field(None, description="Give log-probabilities of the answer's tokens.")
    max_completion_tokens: int | None = Field(None, ge=0, description="Most tokens to generate, reasoning included.")
    metadata: dict[str, str] | None = Field(None, description="Kept with the stored completion.")
    modalities: list[str] | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = Field(None, description="False leaves this completion out of the store.")
    tool_choice: str | dict[str, Any] | None = None
    tools: list[Tool] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20, description="Alternatives to give for each token.")
    verbosity: str | None = None
    web_search_options: dict[str, Any] | None = None


class CompletionRequest(CompletionParams):
    """Arguments of `completion`."""

    prompt: str | list[str] | list[int] | list[list[int]]
    best_of: int | None = Field(None, ge=0, le=20)
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=5, description="Alternatives to give for each token.")
    suffix: str | None = None


class EmbeddingRequest(Open):
    """Arguments of `embeddings`."""

    model: str
    input: str | list[str] | list[int] | list[list[int]] = Field(description="Text or token ids, one or many.")
    encoding_format: Literal["float", "base64"] | None = Field(None, description="base64 is little-endian float32.")
    dimensions: int | None = Field(None, ge=1, description="Shorten the vectors, where the model allows it.")
    user: str | None = None


class RerankRequest(Open):
    """Arguments of `rerank` (Llama Stack)."""

    model: str
    query: str | TextPart | ImagePart
    items: list[str | TextPart | ImagePart] = Field(min_length=1)
    max_num_results: int | None = Field(None, ge=1)


class ListCompletionsRequest(Strict):
    """Arguments of `list_chat_completions`. A filter that it does not have is refused, not left out."""

    after: str | None = Field(None, description="Id of the last completion of the page before.")
    limit: int = Field(20, ge=1, le=1000)
    model: str | None = Field(None, description="Only completions of this model.")
    order: Literal["asc", "desc"] = Field("desc", description="By creation time.")


# ---- what comes out ---------------------------------------------------------------------------------------------


# Fields that OpenAI leaves out when it has nothing to say are left out here too, not sent as null: its SDK takes the
# `type: null` of a later tool-call chunk for news. Fields that it always sends, such as `content`, stay null.


class PromptTokensDetails(Open):
    """Of the prompt's tokens, how many were cached or audio."""

    cached_tokens: int | None = Field(None, exclude_if=absent)
    audio_tokens: int | None = Field(None, exclude_if=absent)


class CompletionTokensDetails(Open):
    """Of the answer's tokens, how many were reasoning or audio."""

    reasoning_tokens: int | None = Field(None, exclude_if=absent)
    audio_tokens: int | None = Field(None, exclude_if=absent)
    accepted_prediction_tokens: int | None = Field(None, exclude_if=absent)
    rejected_prediction_tokens: int | None = Field(None, exclude_if=absent)


class Usage(Open):
    """Token counts of one call."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = Field(None, exclude_if=absent)
    completion_tokens_details: CompletionTokensDetails | None = Field(None, exclude_if=absent)


class TopLogprob(Open):
    """An alternative token with its log-probability (natural logarithm)."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token of the answer with its log-probability and its alternatives."""

    top_logprobs: list[TopLogprob] = []


class Logprobs(Open):
    """Log-probabilities of an answer's tokens."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class AnswerMessage(Open):
    """The message that a model answered with."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = Field(None, exclude_if=absent)
    function_call: FunctionCall | None = Field(None, exclude_if=absent)
    annotations: list[dict[str, Any]] | None = Field(None, exclude_if=absent)
    audio: dict[str, Any] | None = Field(None, exclude_if=absent)
    reasoning_content: str | None = Field(
        None, exclude_if=absent, description="What the model thought, where the service shows it."
    )


class Choice(Open):
    """One answer. `finish_reason`: stop, length, tool_calls, content_filter or function_call."""

    index: int = 0
    message: AnswerMessage
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatCompletion(Open):
    """A finished chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time in seconds.")
    model: str
    choices: list[Choice]
    usage: Usage | None = Field(None, exclude_if=absent)
    service_tier: str | None = Field(None, exclude_if=absent)
    system_fingerprint: str | None = Field(None, exclude_if=absent)
    metadata: dict[str, str] | None = Field(None, exclude_if=absent)


class FunctionCallDelta(Open):
    """A piece of a function call; `arguments` is to be appended."""

    name: str | None = Field(None, exclude_if=absent)
    arguments: str | None = Field(None, exclude_if=absent)


class ToolCallDelta(Open):
    """A piece of the tool call at `index`."""

    index: int = 0
    id: str | None = Field(None, exclude_if=absent)
    type: str | None = Field(None, exclude_if=absent)
    function: FunctionCallDelta | None = Field(None, exclude_if=absent)


class Delta(Open):
    """What a chunk adds to the message."""

    role: str | None = Field(None, exclude_if=absent)
    content: str | None = Field(None, exclude_if=absent)
    refusal: str | None = Field(None, exclude_if=absent)
    tool_calls: list[ToolCallDelta] | None = Field(None, exclude_if=absent)
    function_call: FunctionCallDelta | None = Field(None, exclude_if=absent)
    reasoning_content: str | None = Field(None, exclude_if=absent)


class ChunkChoice(Open):
    """What a chunk adds to the answer at `index`."""

    index: int = 0
    delta: Delta = Field(default_factory=Delta)
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatCompletionChunk(Open):
    """A piece of a streamed chat completion; with `include_usage` the last one has no choices and the usage."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = Field(None, exclude_if=absent)
    service_tier: str | None = Field(None, exclude_if=absent)
    system_fingerprint: str | None = Field(None, exclude_if=absent)


class CompletionLogprobs(Open):
    """Log-probabilities in the older shape: four lists of equal length."""

    text_offset: list[int] | None = Field(None, exclude_if=absent)
    token_logprobs: list[float | None] | None = Field(None, exclude_if=absent)
    tokens: list[str] | None = Field(None, exclude_if=absent)
    top_logprobs: list[dict[str, float] | None] | None = Field(None, exclude_if=absent)


class CompletionChoice(Open):
    """One continuation of the prompt."""

    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    logprobs: CompletionLogprobs | Logprobs | None = None


class Completion(Open):
    """A text completion; streamed pieces have the same shape."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = Field(None, exclude_if=absent)
    system_fingerprint: str | None = Field(None, exclude_if=absent)


class Embedding(Open):
    """One vector: floats, or base64 of little-endian float32 where that was asked for."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Open):
    """Token counts of an embedding call."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingList(Open):
    """One vector an input, in the input's order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage = Field(default_factory=EmbeddingUsage)


class RerankResult(Open):
    """`index` is the item's place in the request; a higher score is nearer to the query."""

    index: int
    relevance_score: float


class RerankResponse(Open):
    """Items by falling relevance."""

    data: list[RerankResult]


class StoredChatCompletion(ChatCompletion):
    """A completion from the store, with what was asked."""

    input_messages: list[Message] = []


class StoredChatCompletionList(Shape):
    """A page of stored completions."""

    object: Literal["list"] = "list"
    data: list[StoredChatCompletion]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class Inference(Protocol):
    """Ask models. A provider implements the methods that its service has; the rest answer 501."""

    @route("POST", "/chat/completions", key="model")
    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """Answer a conversation; with `stream=True` in chunks."""
        ...

    @route("POST", "/completions", key="model")
    async def completion(self, request: CompletionRequest) -> Completion | AsyncIterator[Completion]:
        """Continue a prompt; with `stream=True` in chunks."""
        ...

    @route("POST", "/embeddings", key="model")
    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """Turn texts into vectors."""
        ...

    @route("POST", "/inference/rerank", level="v1alpha", key="model")
    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Order items by their relevance to a query."""
        ...

    @route("GET", "/chat/completions")
    async def list_chat_completions(self, request: ListCompletionsRequest) -> StoredChatCompletionList:
        """Completions that this stack stored, newest first."""
        ...

    @route("GET", "/chat/completions/{completion_id}")
    async def get_chat_completion(self, completion_id: str) -> StoredChatCompletion:
        """One stored completion."""
        ...
