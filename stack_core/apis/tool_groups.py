"""Groups of tools that are registered, and the tools in them."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._interleaved import URL
from stack_core.apis._resources import PageLimit, Resource, ResourceId
from stack_core.apis._shapes import Listing, Strict
from stack_core.apis._tools import ToolDef, ToolDefList


class ToolGroup(Resource):
    """Tools of one provider. Shape: Llama Stack 0.3.5."""

    type: Literal["tool_group"] = "tool_group"
    mcp_endpoint: URL | None = Field(None, description="The MCP server that has the tools.")
    args: dict[str, Any] | None = Field(None, description="What the provider is told with every call.")


class ToolGroupList(Listing[ToolGroup]):
    """Registered groups by id."""


class RegisterToolGroupRequest(Strict):
    """Arguments of `register_tool_group`."""

    toolgroup_id: ResourceId
    provider_id: str | None = Field(None, description="May be left out where only one provider serves tools.")
    mcp_endpoint: URL | None = None
    args: dict[str, Any] | None = None


class ToolSource(Protocol):
    """What a provider of tools implements: which tools a group has."""

    async def tools(self, group: ToolGroup) -> list[ToolDef]:
        """The tools of the group now."""
        ...


class GroupedTools(ToolSource, Protocol):
    """A source whose calls depend on the group: its server, its args."""

    def of(self, group: ToolGroup) -> Any:
        """What answers the calls of a group's tools."""
        ...


class ToolGroups(Protocol):
    """Groups of tools that are registered, and the tools in them."""

    @route("GET", "/toolgroups", sdk="toolgroups.list")
    async def list_tool_groups(self, after: str | None = None, limit: PageLimit | None = None) -> ToolGroupList:
        """Registered groups by id."""
        ...

    @route("GET", "/toolgroups/{toolgroup_id:path}", sdk="toolgroups.get")
    async def get_tool_group(self, toolgroup_id: str) -> ToolGroup:
        """One group."""
        ...

    @route("POST", "/toolgroups", sdk="toolgroups.register")
    async def register_tool_group(self, request: RegisterToolGroupRequest) -> None:
        """Give a provider's tools, or those of an MCP server, an id."""
        ...

    @route("DELETE", "/toolgroups/{toolgroup_id:path}", sdk="toolgroups.unregister")
    async def unregister_tool_group(self, toolgroup_id: str) -> None:
        """Forget a group."""
        ...

    @route("GET", "/tools", sdk="tools.list")
    async def list_tools(self, toolgroup_id: str | None = None) -> ToolDefList:
        """The tools of a group, or of all groups whose provider answers."""
        ...

    @route("GET", "/tools/{tool_name:path}", sdk="tools.get")
    async def get_tool(self, tool_name: str) -> ToolDef:
        """One tool."""
        ...
