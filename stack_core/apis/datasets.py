"""The data sets that are registered."""

from __future__ import annotations

from typing import Protocol


class Datasets(Protocol):
    """The data sets that are registered."""
