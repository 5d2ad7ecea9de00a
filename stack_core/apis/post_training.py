"""Fine-tuning jobs."""

from __future__ import annotations

from typing import Protocol


class PostTraining(Protocol):
    """Fine-tuning jobs."""
