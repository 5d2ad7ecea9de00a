"""What a guard reads of messages: every text with its place, and the images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stack_core.apis._chat_messages import (
    AssistantMessage,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
    ToolCall,
)


class Place(NamedTuple):
    """A text of a message: `message` is its index, `where` a path such as `content`, `content[1]` or
    `tool_calls[0].arguments`."""

    message: int
    where: str
    text: str


def places(messages: Sequence[Message]) -> list[Place]:
    """Every text of the messages in order: contents, refusals, and what tools are called with."""
    return [Place(index, where, text) for index, message in enumerate(messages) for where, text in _texts(message)]


def text_of(message: Message, *, calls: bool = True) -> str:
    """The texts of one message, a line break between them; without `calls` those of tool calls are left out. Half a
    surrogate pair, which no service takes, becomes a question mark."""
    texts = [text for where, text in _texts(message) if calls or where.startswith(("content", "refusal"))]
    return "\n".join(texts).encode("utf-8", "replace").decode()


def images_of(message: Message) -> list[str]:
    """The addresses of a message's images."""
    parts = message.content if isinstance(message.content, list) else []
    return [part.image_url.url for part in parts if isinstance(part, ImagePart)]


def kinds_of(messages: Sequence[Message]) -> set[str]:
    """The types of the messages' parts that are no texts: `image_url`, `input_audio`, `file`."""
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    return {part.type for part in parts if not isinstance(part, TextPart | RefusalPart)}


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    if isinstance(message.content, str):
        yield "content", message.content
    for index, part in enumerate(message.content if isinstance(message.content, list) else []):
        if isinstance(part, TextPart | RefusalPart):
            yield f"content[{index}]", part.text if isinstance(part, TextPart) else part.refusal
    if isinstance(message, AssistantMessage):
        if message.refusal:
            yield "refusal", message.refusal
        for index, call in enumerate(message.tool_calls or []):
            yield f"tool_calls[{index}].arguments", _readable(_arguments(call))
        if message.function_call is not None:
            yield "function_call.arguments", _readable(message.function_call.arguments)


def _arguments(call: ToolCall) -> str:
    return call.custom.input if call.custom is not None else call.function.arguments


def _readable(arguments: str) -> str:
    """Arguments without escapes: `a\\u0040b.org` is an address as much as `a@b.org`."""
    if "\\" not in arguments:
        return arguments
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments
