"""Who speaks with MCP servers for the stack's own parts."""

from __future__ import annotations

from typing import Any, Protocol

from stack_core.apis.tool_groups import ToolSource
from stack_core.builtin._ground import Ground
from stack_core.errors import Unsupported

KIND = "remote::model-context-protocol"


class McpSource(ToolSource, Protocol):
    """The provider of MCP tools."""

    async def server(self, group: Any) -> Any:
        """What a group's server says of itself: `name`, `version`, `instructions`."""
        ...


def mcp_provider(ground: Ground) -> McpSource:
    """The first provider of MCP tools.

    Raises:
        Unsupported: the run file has none.
        StackError: why it did not start.
    """
    for serving in ground.providers("tool_runtime").values():
        if serving.provider_type == KIND:
            found: McpSource = serving.required()
            return found
    raise Unsupported("no client of MCP servers is configured", f"add {KIND} under providers.tool_runtime")
