"""A streamed reply put together: pieces are appended, a final message sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llama_magics.results import ToolStep, Usage


@dataclass
class Reply:
    """What has come of one answer so far."""

    text: str = ""
    reasoning: str = ""
    tools: dict[int, ToolStep] = field(default_factory=dict)
    usage: Usage | None = None
    finish_reason: str | None = None
    first_token_seconds: float | None = None

    def add(self, chunk: Any, seconds: float) -> tuple[str, str]:
        """Take a chunk of a chat completion (or a whole one) that came after `seconds`.

        Returns:
            The text and the reasoning that it added. Only the first of several answers counts.
        """
        if chunk.usage is not None:
            self.usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        text = thought = ""
        for choice in chunk.choices:
            if choice.index:
                continue
            self.finish_reason = choice.finish_reason or self.finish_reason
            message = getattr(choice, "message", None)
            if message is not None:
                self.text, self.reasoning, self.tools = "", "", {}
            part = message or choice.delta
            text += part.content or part.refusal or ""
            thought += part.reasoning_content or ""
            self._calls(part.tool_calls or ())
        if self.first_token_seconds is None and (text or thought or self.tools):
            self.first_token_seconds = seconds
        self.text += text
        self.reasoning += thought
        return text, thought

    def _calls(self, calls: Any) -> None:
        for position, call in enumerate(calls):
            step = self.tools.setdefault(getattr(call, "index", position), ToolStep("", "", ""))
            step.id = call.id or step.id
            if call.function is not None:
                step.name += call.function.name or "" if not step.name else ""
                step.arguments += call.function.arguments or ""
