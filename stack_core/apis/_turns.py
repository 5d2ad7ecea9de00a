"""An agent's turns, and the events of one that is streamed. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from stack_core.apis._interleaved import URL, Interleaved
from stack_core.apis._messages import ModelOutput, ToolOutput, ToolUse, UserInput
from stack_core.apis._shapes import Open, Strict
from stack_core.apis._steps import Step, StepType

TurnInput = Annotated[UserInput | ToolOutput, Field(discriminator="role")]


class Attachment(Strict):
    """A document that a turn is given or gives: its content, or where that is."""

    content: Interleaved | URL
    mime_type: str


class Turn(Open):
    """What was said to an agent, what it did, and what it answered."""

    turn_id: str
    session_id: str
    input_messages: list[TurnInput]
    steps: list[Step]
    output_message: ModelOutput
    output_attachments: list[Attachment] | None = None
    started_at: datetime
    completed_at: datetime | None = None


class TurnText(Open):
    """More text."""

    type: Literal["text"] = "text"
    text: str


class TurnImage(Open):
    """An image, base64."""

    type: Literal["image"] = "image"
    image: str


class TurnToolCall(Open):
    """More of a tool call; the whole call once it is parsed."""

    type: Literal["tool_call"] = "tool_call"
    tool_call: str | ToolUse
    parse_status: Literal["started", "in_progress", "failed", "succeeded"]


class StepStart(Open):
    """A step begins."""

    event_type: Literal["step_start"] = "step_start"
    step_type: StepType
    step_id: str
    metadata: dict[str, Any] | None = None


class StepProgress(Open):
    """A step goes on."""

    event_type: Literal["step_progress"] = "step_progress"
    step_type: StepType
    step_id: str
    delta: Annotated[TurnText | TurnImage | TurnToolCall, Field(discriminator="type")]


class StepComplete(Open):
    """A step is done."""

    event_type: Literal["step_complete"] = "step_complete"
    step_type: StepType
    step_id: str
    step_details: Step


class TurnStart(Open):
    """A turn begins."""

    event_type: Literal["turn_start"] = "turn_start"
    turn_id: str


class TurnComplete(Open):
    """A turn is done."""

    event_type: Literal["turn_complete"] = "turn_complete"
    turn: Turn


class TurnAwaitingInput(Open):
    """A turn waits for the results of the caller's own tools; `resume` carries it on."""

    event_type: Literal["turn_awaiting_input"] = "turn_awaiting_input"
    turn: Turn


TurnPayload = Annotated[
    StepStart | StepProgress | StepComplete | TurnStart | TurnComplete | TurnAwaitingInput,
    Field(discriminator="event_type"),
]


class TurnEvent(Open):
    """What happened in a turn."""

    payload: TurnPayload


class TurnChunk(Open):
    """A piece of a streamed turn."""

    event: TurnEvent
