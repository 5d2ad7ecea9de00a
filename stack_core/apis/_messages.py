"""Messages in Llama Stack's own shape, as agents, evaluations and generated data have them. Shapes: Llama Stack 0.3.5.

Inference speaks OpenAI's messages; those are in `inference`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stack_core.apis._interleaved import Interleaved
from stack_core.apis._shapes import Strict

StopReason = Literal["end_of_turn", "end_of_message", "out_of_tokens"]


class ToolUse(Strict):
    """A call of a tool by a model. Shape: Llama Stack's `ToolCall`."""

    call_id: str
    tool_name: str = Field(description="A built-in name such as brave_search, or that of a registered tool.")
    arguments: str = Field(description="JSON text, as the model wrote it.")


class UserInput(Strict):
    """What a person asks. Shape: Llama Stack's `UserMessage`."""

    role: Literal["user"] = "user"
    content: Interleaved
    context: Interleaved | None = Field(None, description="What the stack adds for the model, such as search results.")


class SystemInput(Strict):
    """Instructions. Shape: Llama Stack's `SystemMessage`."""

    role: Literal["system"] = "system"
    content: Interleaved


class ToolOutput(Strict):
    """What a tool answered. Shape: Llama Stack's `ToolResponseMessage`."""

    role: Literal["tool"] = "tool"
    call_id: str
    content: Interleaved


class ModelOutput(Strict):
    """What a model answered. Shape: Llama Stack's `CompletionMessage`."""

    role: Literal["assistant"] = "assistant"
    content: Interleaved
    stop_reason: StopReason
    tool_calls: list[ToolUse] | None = None


Dialog = Annotated[UserInput | SystemInput | ToolOutput | ModelOutput, Field(discriminator="role")]
"""Any message. Llama Stack's `Message`."""
