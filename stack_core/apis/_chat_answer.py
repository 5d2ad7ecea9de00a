"""What a chat completion answers, whole and in chunks. Shapes: OpenAI 2.3.0."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stack_core.apis._chat_messages import FunctionCall, ToolCall
from stack_core.apis._shapes import Open, absent

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


class PageCitation(Open):
    """A page that the characters from `start_index` to `end_index` of the answer rest on."""

    url: str | None = Field(None, exclude_if=absent)
    title: str | None = Field(None, exclude_if=absent)
    start_index: int | None = Field(None, exclude_if=absent)
    end_index: int | None = Field(None, exclude_if=absent)


class MessageAnnotation(Open):
    """What an answer rests on."""

    type: str = "url_citation"
    url_citation: PageCitation | None = Field(None, exclude_if=absent)


class AnswerAudio(Open):
    """An answer in audio: base64, what it says, and until when (Unix seconds) its id can be given back."""

    id: str | None = Field(None, exclude_if=absent)
    data: str | None = Field(None, exclude_if=absent)
    transcript: str | None = Field(None, exclude_if=absent)
    expires_at: int | None = Field(None, exclude_if=absent)


class AnswerMessage(Open):
    """The message that a model answered with."""

    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = Field(None, exclude_if=absent)
    function_call: FunctionCall | None = Field(None, exclude_if=absent)
    annotations: list[MessageAnnotation] | None = Field(None, exclude_if=absent)
    audio: AnswerAudio | None = Field(None, exclude_if=absent)
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


class CustomCallDelta(Open):
    """A piece of a call of a custom tool; `input` is to be appended."""

    name: str | None = Field(None, exclude_if=absent)
    input: str | None = Field(None, exclude_if=absent)


class ToolCallDelta(Open):
    """A piece of the tool call at `index`."""

    index: int = 0
    id: str | None = Field(None, exclude_if=absent)
    type: str | None = Field(None, exclude_if=absent)
    function: FunctionCallDelta | None = Field(None, exclude_if=absent)
    custom: CustomCallDelta | None = Field(None, exclude_if=absent)


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
