"""Puts the chunks of a streamed chat completion together: deltas are appended, finish reasons and usage are set."""

from __future__ import annotations

from typing import Any

from stack_core.apis.inference import ChatCompletionChunk, ChunkChoice, ToolCallDelta, Usage


class _Answer:
    """One answer as it grows."""

    __slots__ = ("calls", "finish", "logprobs", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: list[Any] = []
        self.finish: str | None = None

    def add(self, choice: ChunkChoice) -> None:
        """Append what a chunk brought."""
        delta = choice.delta
        if delta.content:
            self.text.append(delta.content)
        if delta.reasoning_content:
            self.reasoning.append(delta.reasoning_content)
        if delta.refusal:
            self.refusal.append(delta.refusal)
        for call in delta.tool_calls or ():
            self._call(call)
        if choice.logprobs is not None and choice.logprobs.content:
            self.logprobs += [entry.model_dump(mode="json") for entry in choice.logprobs.content]
        if choice.finish_reason:
            self.finish = choice.finish_reason

    def _call(self, piece: ToolCallDelta) -> None:
        call = self.calls.setdefault(piece.index, {"id": "", "type": "function"})
        call["id"] = piece.id or call["id"]
        if piece.custom is not None:
            call["type"] = "custom"
            custom = call.setdefault("custom", {"name": "", "input": ""})
            custom["name"] += piece.custom.name or ""
            custom["input"] += piece.custom.input or ""
            return
        function = call.setdefault("function", {"name": "", "arguments": ""})
        if piece.function is not None:
            function["name"] += piece.function.name or ""
            function["arguments"] += piece.function.arguments or ""

    def choice(self, index: int) -> dict[str, Any]:
        """The finished choice as plain data."""
        message = {
            "role": "assistant",
            "content": "".join(self.text) if self.text or not self.calls else None,
            "reasoning_content": "".join(self.reasoning) or None,
            "refusal": "".join(self.refusal) or None,
            "tool_calls": [self.calls[i] for i in sorted(self.calls)] or None,
        }
        done: dict[str, Any] = {
            "index": index,
            "message": {key: value for key, value in message.items() if value is not None or key == "content"},
            "finish_reason": self.finish,
        }
        if self.logprobs:
            done["logprobs"] = {"content": self.logprobs}
        return done


class Gathered:
    """A streamed chat completion as it grows."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._first: ChatCompletionChunk | None = None
        self._answers: dict[int, _Answer] = {}

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take in one chunk."""
        if self._first is None:
            self._first = chunk
        if chunk.usage is not None:
            self.usage = chunk.usage
        for choice in chunk.choices:
            answer = self._answers.get(choice.index)
            if answer is None:
                answer = self._answers[choice.index] = _Answer()
            answer.add(choice)

    def completion(self) -> dict[str, Any] | None:
        """The whole completion as plain data (the shape of `ChatCompletion`), or None when no chunk came."""
        if self._first is None:
            return None
        return {
            "id": self._first.id,
            "object": "chat.completion",
            "created": self._first.created,
            "model": self._first.model,
            "choices": [answer.choice(index) for index, answer in sorted(self._answers.items())],
            "usage": self.usage.model_dump(mode="json", exclude_none=True) if self.usage else None,
        }
