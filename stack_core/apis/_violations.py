"""What a shield found. Shape: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from stack_core.apis._shapes import Open

ViolationLevel = Literal["info", "warn", "error"]


class SafetyViolation(Open):
    """What was found, how grave it is, and what to tell the user."""

    violation_level: ViolationLevel
    user_message: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
