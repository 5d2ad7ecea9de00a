"""The rows of data sets."""

from __future__ import annotations

from typing import Protocol


class DatasetIO(Protocol):
    """The rows of data sets."""
