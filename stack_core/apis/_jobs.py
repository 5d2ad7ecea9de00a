"""How far a job is."""

from __future__ import annotations

from typing import Literal

JobStatus = Literal["completed", "in_progress", "failed", "scheduled", "cancelled"]
"""Shape: Llama Stack 0.3.5."""
