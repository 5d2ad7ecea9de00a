"""The guards that are registered."""

from __future__ import annotations

from typing import Protocol


class Shields(Protocol):
    """The guards that are registered."""
