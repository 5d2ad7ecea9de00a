"""Data sets that a model writes."""

from __future__ import annotations

from typing import Protocol


class SyntheticDataGeneration(Protocol):
    """Data sets that a model writes."""
