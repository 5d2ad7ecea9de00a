"""Evaluations of models and agents on benchmarks."""

from __future__ import annotations

from typing import Protocol


class Eval(Protocol):
    """Evaluations of models and agents on benchmarks."""
