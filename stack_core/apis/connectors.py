"""MCP servers that the stack knows, and their tools."""

from __future__ import annotations

from typing import Protocol


class Connectors(Protocol):
    """MCP servers that the stack knows, and their tools."""
