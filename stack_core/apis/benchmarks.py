"""The benchmarks that are registered: a data set with scoring functions."""

from __future__ import annotations

from typing import Protocol


class Benchmarks(Protocol):
    """The benchmarks that are registered: a data set with scoring functions."""
