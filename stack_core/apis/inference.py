"""Inference: chat completions, completions, embeddings, rerank and the completions that were stored.

The shapes are OpenAI's (API 2.3.0), with Llama Stack's rerank. Fields that vendors add are kept (`extra="allow"`), both
in requests, where they are passed to the service, and in results.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from stack_core.apis._chat_answer import (
    AnswerAudio,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    CustomCallDelta,
    Delta,
    FunctionCallDelta,
    Logprobs,
    MessageAnnotation,
    PageCitation,
    PromptTokensDetails,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from stack_core.apis._chat_messages import (
    AssistantMessage,
    AudioPart,
    AudioReference,
    Content,
    CustomCall,
    DeveloperMessage,
    FileData,
    FilePart,
    FunctionCall,
    FunctionMessage,
    ImagePart,
    ImageURL,
    InputAudio,
    Message,
    Part,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from stack_core.apis._chat_request import (
    AllowedTools,
    AudioSettings,
    ChatCompletionRequest,
    CompletionParams,
    CustomFormat,
    CustomSpec,
    FunctionSpec,
    Grammar,
    JSONSchemaSpec,
    Place,
    Prediction,
    ResponseFormat,
    StreamOptions,
    Tool,
    ToolChoice,
    ToolName,
    UserLocation,
    Voice,
    WebSearchOptions,
)
from stack_core.apis._declare import route
from stack_core.apis._metadata import Metadata
from stack_core.apis._shapes import Listing, Open, Order, PageQuery, Shape, Strict, absent

__all__ = [
    "AllowedTools",
    "AnswerAudio",
    "AnswerMessage",
    "AssistantMessage",
    "AudioPart",
    "AudioReference",
    "AudioSettings",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionRequest",
    "Choice",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionParams",
    "CompletionRequest",
    "CompletionTokensDetails",
    "Content",
    "CustomCall",
    "CustomCallDelta",
    "CustomFormat",
    "CustomSpec",
    "DeletedChatCompletion",
    "Delta",
    "DeveloperMessage",
    "Embedding",
    "EmbeddingList",
    "EmbeddingRequest",
    "EmbeddingUsage",
    "FileData",
    "FilePart",
    "FunctionCall",
    "FunctionCallDelta",
    "FunctionMessage",
    "FunctionSpec",
    "Grammar",
    "ImagePart",
    "ImageURL",
    "Inference",
    "InputAudio",
    "JSONSchemaSpec",
    "ListCompletionsRequest",
    "ListMessagesRequest",
    "Logprobs",
    "Message",
    "MessageAnnotation",
    "PageCitation",
    "Part",
    "Place",
    "Prediction",
    "PromptTokensDetails",
    "RefusalPart",
    "RerankRequest",
    "RerankResponse",
    "RerankResult",
    "ResponseFormat",
    "StoredChatCompletion",
    "StoredChatCompletionList",
    "StoredMessage",
    "StoredMessageList",
    "StreamOptions",
    "SystemMessage",
    "TextPart",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "ToolMessage",
    "ToolName",
    "TopLogprob",
    "UpdateCompletionRequest",
    "Usage",
    "UserLocation",
    "UserMessage",
    "Voice",
    "WebSearchOptions",
]


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
    metadata: dict[str, str] | None = Field(None, description="Only completions with these pairs: metadata[key]=value.")
    order: Order = Field("desc", description="By creation time.")


class UpdateCompletionRequest(Strict):
    """Arguments of `update_chat_completion`: the metadata takes the place of what was there."""

    metadata: Metadata | None


class ListMessagesRequest(PageQuery):
    """Which page of a stored completion's messages."""

    order: Order = Field("asc", description="As they were asked, or backwards.")


# ---- what comes out ---------------------------------------------------------------------------------------------


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


class StoredChatCompletionList(Listing[StoredChatCompletion]):
    """A page of stored completions."""


class DeletedChatCompletion(Shape):
    """A stored completion that is there no more."""

    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: bool = True


class StoredMessage(AnswerMessage):
    """A message that a stored completion was asked with: `content` is its text, `content_parts` its parts where it was
    given in parts."""

    id: str
    role: str  # type: ignore[assignment]  # any role stands here; in an answer it is always the assistant's
    name: str | None = None
    tool_call_id: str | None = Field(None, exclude_if=absent)
    content_parts: list[Part] | None = None


class StoredMessageList(Listing[StoredMessage]):
    """A page of the messages that a stored completion was asked with."""


class Inference(Protocol):
    """Ask models. A provider implements the methods that its service has; the rest answer 501."""

    @route("POST", "/chat/completions", key="model", sdk="chat.completions.create")
    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """Answer a conversation; with `stream=True` in chunks."""
        ...

    @route("POST", "/completions", key="model", sdk="completions.create")
    async def completion(self, request: CompletionRequest) -> Completion | AsyncIterator[Completion]:
        """Continue a prompt; with `stream=True` in chunks."""
        ...

    @route("POST", "/embeddings", key="model", sdk="embeddings.create")
    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """Turn texts into vectors."""
        ...

    @route("POST", "/inference/rerank", level="v1alpha", key="model", sdk="alpha.inference.rerank")
    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Order items by their relevance to a query."""
        ...

    @route("GET", "/chat/completions", sdk="chat.completions.list")
    async def list_chat_completions(self, request: ListCompletionsRequest) -> StoredChatCompletionList:
        """Completions that this stack stored, newest first."""
        ...

    @route("GET", "/chat/completions/{completion_id}", sdk="chat.completions.retrieve")
    async def get_chat_completion(self, completion_id: str) -> StoredChatCompletion:
        """One stored completion."""
        ...

    @route("POST", "/chat/completions/{completion_id}", sdk="chat.completions.update")
    async def update_chat_completion(
        self, completion_id: str, request: UpdateCompletionRequest
    ) -> StoredChatCompletion:
        """Replace the metadata of a stored completion."""
        ...

    @route("DELETE", "/chat/completions/{completion_id}", sdk="chat.completions.delete")
    async def delete_chat_completion(self, completion_id: str) -> DeletedChatCompletion:
        """Forget a stored completion."""
        ...

    @route("GET", "/chat/completions/{completion_id}/messages", sdk="chat.completions.messages.list")
    async def list_chat_completion_messages(
        self, completion_id: str, request: ListMessagesRequest
    ) -> StoredMessageList:
        """A page of what a stored completion was asked with."""
        ...
