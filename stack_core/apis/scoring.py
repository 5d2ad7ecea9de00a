"""Rows scored by functions."""

from __future__ import annotations

from typing import Protocol


class Scoring(Protocol):
    """Rows scored by functions."""
