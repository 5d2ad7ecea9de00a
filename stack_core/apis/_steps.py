"""The steps of an agent's turn. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from stack_core.apis._interleaved import Interleaved
from stack_core.apis._messages import ModelOutput, ToolUse
from stack_core.apis._shapes import Open, Strict
from stack_core.apis._violations import SafetyViolation

StepType = Literal["inference", "tool_execution", "shield_call", "memory_retrieval"]


class ToolResponse(Strict):
    """What a tool answered to the call `call_id`."""

    call_id: str
    tool_name: str
    content: Interleaved
    metadata: dict[str, Any] | None = None


class InferenceStep(Open):
    """The model was asked."""

    step_type: Literal["inference"] = "inference"
    turn_id: str
    step_id: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    model_response: ModelOutput


class ToolExecutionStep(Open):
    """Tools were called."""

    step_type: Literal["tool_execution"] = "tool_execution"
    turn_id: str
    step_id: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    tool_calls: list[ToolUse]
    tool_responses: list[ToolResponse]


class ShieldCallStep(Open):
    """A shield looked at what went in or came out."""

    step_type: Literal["shield_call"] = "shield_call"
    turn_id: str
    step_id: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    violation: SafetyViolation | None = Field(None, description="Null: nothing was found.")


class MemoryRetrievalStep(Open):
    """Documents were searched."""

    step_type: Literal["memory_retrieval"] = "memory_retrieval"
    turn_id: str
    step_id: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    vector_db_ids: str
    inserted_context: Interleaved


Step = Annotated[
    InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep, Field(discriminator="step_type")
]
