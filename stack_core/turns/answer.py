"""One answer of the model: its chunks gathered into text, thoughts, calls of tools and token counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from stack_core.apis.inference import AssistantMessage, ChatCompletionChunk, FunctionCall, ToolCall, Usage

Kind = Literal["text", "refusal", "thought"]


@dataclass(slots=True)
class Piece:
    """More of what the model says. `logprobs` are those of its tokens, where they were asked for."""

    kind: Kind
    text: str
    logprobs: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class ModelCall:
    """A call of a tool as the model wrote it, with the pieces that its arguments came in."""

    call_id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """The JSON text; an empty one means no arguments."""
        return "".join(self.pieces).strip() or "{}"

    def read(self) -> dict[str, Any] | None:
        """The arguments; None where they are no JSON object."""
        try:
            found = json.loads(self.arguments)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


class Turn:
    """What the model said so far."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.service_tier: str | None = None
        self._texts: list[str] = []
        self._places: dict[int, ModelCall] = {}

    def add(self, chunk: ChatCompletionChunk) -> Iterator[Piece]:
        """Take a chunk in; gives what it adds to thought and text. Calls are read when the turn is over: only then is
        it known whether they are right."""
        if chunk.usage is not None:
            self.usage = chunk.usage
        self.service_tier = chunk.service_tier or self.service_tier
        for choice in chunk.choices:
            if choice.index:
                continue
            delta = choice.delta
            if delta.reasoning_content:
                yield Piece("thought", delta.reasoning_content)
            if delta.content:
                self._texts.append(delta.content)
                logprobs = choice.logprobs.content if choice.logprobs is not None else None
                yield Piece("text", delta.content, list(logprobs or ()))
            if delta.refusal:
                yield Piece("refusal", delta.refusal)
            for call in delta.tool_calls or ():
                self._call(call)
            self.finish = choice.finish_reason or self.finish

    def _call(self, delta: Any) -> None:
        call = self._places.get(delta.index)
        if call is None:
            call = self._places[delta.index] = ModelCall(delta.id or f"call_{len(self.calls)}", "")
            self.calls.append(call)
        function = delta.function
        if function is None:
            return
        call.name += function.name or ""
        if function.arguments:
            call.pieces.append(function.arguments)

    def message(self) -> AssistantMessage:
        """The turn as the next one is told of it."""
        calls = [
            ToolCall(id=call.call_id, function=FunctionCall(name=call.name, arguments=call.arguments))
            for call in self.calls
        ]
        return AssistantMessage(content="".join(self._texts) or None, tool_calls=calls or None)
