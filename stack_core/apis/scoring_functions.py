"""The scoring functions that are registered."""

from __future__ import annotations

from typing import Protocol


class ScoringFunctions(Protocol):
    """The scoring functions that are registered."""
