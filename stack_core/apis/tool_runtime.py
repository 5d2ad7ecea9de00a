"""Tools that are called."""

from __future__ import annotations

from typing import Protocol


class ToolRuntime(Protocol):
    """Tools that are called."""
