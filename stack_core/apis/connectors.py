"""MCP servers that the run file names, and their tools."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._shapes import Shape
from stack_core.apis._tools import ToolDef, ToolDefList


class Connector(Shape):
    """An MCP server. Shape: OGX 0.8."""

    connector_type: Literal["mcp"] = "mcp"
    connector_id: str = Field(min_length=1)
    url: str = Field(min_length=1)
    server_label: str | None = None
    server_name: str | None = None
    server_description: str | None = None
    server_version: str | None = None


class ConnectorList(Shape):
    """All connectors."""

    data: list[Connector]


class Connectors(Protocol):
    """MCP servers that the run file names, and their tools."""

    @route("GET", "/connectors", level="v1beta")
    async def list_connectors(self) -> ConnectorList:
        """All connectors."""
        ...

    @route("GET", "/connectors/{connector_id}", level="v1beta")
    async def get_connector(self, connector_id: str, authorization: str | None = None) -> Connector:
        """One connector; `authorization` is a token for its server."""
        ...

    @route("GET", "/connectors/{connector_id}/tools", level="v1beta")
    async def list_connector_tools(self, connector_id: str, authorization: str | None = None) -> ToolDefList:
        """The tools of a connector's server."""
        ...

    @route("GET", "/connectors/{connector_id}/tools/{tool_name}", level="v1beta")
    async def get_connector_tool(self, connector_id: str, tool_name: str, authorization: str | None = None) -> ToolDef:
        """One tool of a connector's server."""
        ...
