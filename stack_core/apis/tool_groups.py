"""Groups of tools that are registered, and the tools in them."""

from __future__ import annotations

from typing import Protocol


class ToolGroups(Protocol):
    """Groups of tools that are registered, and the tools in them."""
