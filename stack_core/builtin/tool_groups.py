"""The registry of tool groups, and which group has a tool."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from stack_core.apis._call import Call
from stack_core.apis._interleaved import URL
from stack_core.apis._tools import ToolDef, ToolDefList
from stack_core.apis.tool_groups import (
    GroupedTools,
    RegisterToolGroupRequest,
    ToolGroup,
    ToolGroupList,
    ToolGroups,
    ToolSource,
)
from stack_core.builtin._ground import Ground
from stack_core.builtin._mcp import mcp_provider
from stack_core.builtin._registry import Kind, Registry, named
from stack_core.errors import AuthenticationRequired, InvalidRequest, NotFound, StackError, Unsupported
from stack_core.redaction import MASK, redact

LISTING_SECONDS = 10.0
"""How long a provider may take to list its tools before the others are shown without it."""


def _make(request: RegisterToolGroupRequest, provider_id: str) -> ToolGroup:
    return ToolGroup(
        identifier=request.toolgroup_id,
        provider_id=provider_id,
        provider_resource_id=request.toolgroup_id,
        mcp_endpoint=request.mcp_endpoint,
        args=request.args,
    )


_KIND = Kind("tool group", ToolGroup, RegisterToolGroupRequest, _make, "tool_runtime", "tool_groups", "toolgroup_id")


def _shown(group: ToolGroup) -> ToolGroup:
    """The group without its secrets: what is sent to its server, or set for its program, is nobody else's to read."""
    args = {
        name: dict.fromkeys(value, MASK) if name in ("headers", "env") and isinstance(value, dict) else value
        for name, value in (group.args or {}).items()
    }
    plain = group.model_dump(mode="json")
    endpoint = redact(plain["mcp_endpoint"]) if plain.get("mcp_endpoint") else None
    return ToolGroup.model_validate({**plain, "args": redact(args) if group.args else None, "mcp_endpoint": endpoint})


class ToolGroupRegistry(ToolGroups):
    """Registered groups and their tools; as a lookup the provider of a group or of a tool."""

    def __init__(self, ground: Ground) -> None:
        self._registry, self._ground = Registry(ground, _KIND), ground
        self._group_of: dict[str, str] = {}

    async def __call__(self, call: Call) -> Any:
        """Who answers a call that names a tool, or a group under `toolgroup_id` or `tool_group_id`. The tools of a
        group, or of all, are listed here."""
        self._registry.check_served()
        if call.route.name == "list_runtime_tools":
            return RuntimeTools(self)
        if (tool := named(call, "tool_name")) is not None:
            return self._answering(call, await self._group_with(str(tool)))
        group = named(call, "toolgroup_id", "tool_group_id")
        if group is None:
            raise InvalidRequest("a tool or a tool group must be named", "GET /v1/toolgroups lists the groups")
        return self._answering(call, await self._registry.get(str(group)))

    async def list_tool_groups(self, after: str | None = None, limit: int | None = None) -> ToolGroupList:
        """Registered groups by id."""
        page = await self._registry.page(after, limit)
        return ToolGroupList(**{**page, "data": [_shown(group) for group in page["data"]]})

    async def get_tool_group(self, toolgroup_id: str) -> ToolGroup:
        """One group."""
        return _shown(await self._registry.get(toolgroup_id))

    async def register_tool_group(self, request: RegisterToolGroupRequest) -> None:
        """Give a provider's tools, or those of an MCP server, an id."""
        await self._registry.register(request)
        self._forget(request.toolgroup_id)

    async def unregister_tool_group(self, toolgroup_id: str) -> None:
        """Forget a group."""
        await self._registry.unregister(toolgroup_id)
        self._forget(toolgroup_id)

    async def list_tools(self, toolgroup_id: str | None = None) -> ToolDefList:
        """The tools of a group, or of all groups whose provider answers."""
        if toolgroup_id is not None:
            return ToolDefList(data=await self._tools(await self._registry.get(toolgroup_id)))
        return ToolDefList(data=await self._every_tool())

    async def get_tool(self, tool_name: str) -> ToolDef:
        """One tool."""
        refused: list[AuthenticationRequired] = []
        tools = await self._every_tool(refused)
        for tool in tools:
            if tool.name == tool_name:
                return tool
        if refused:  # it may be one of theirs
            raise refused[0]
        raise NotFound("tool", tool_name, [tool.name for tool in tools])

    async def tools_at(self, endpoint: URL) -> ToolDefList:
        """The tools of an MCP server that no group needs to name."""
        group = ToolGroup(identifier=endpoint.uri, provider_id="", mcp_endpoint=endpoint)
        return ToolDefList(data=await mcp_provider(self._ground).tools(group))

    def _answering(self, call: Call, group: ToolGroup) -> Any:
        provider = self._registry.serve(call, group)
        return cast(GroupedTools, provider).of(group) if hasattr(provider, "of") else provider

    async def _group_with(self, tool: str) -> ToolGroup:
        """The group that has a tool: the one remembered, else whichever has it now."""
        if (known := self._group_of.get(tool)) is not None:
            return await self._registry.get(known)
        found = await self.get_tool(tool)
        return await self._registry.get(str(found.toolgroup_id))

    async def _every_tool(self, refused: list[AuthenticationRequired] | None = None) -> list[ToolDef]:
        groups = await self._registry.all()
        listed = await asyncio.gather(*(self._tools_or_none(group, refused) for group in groups))
        return [tool for tools in listed for tool in tools]

    async def _tools_or_none(self, group: ToolGroup, refused: list[AuthenticationRequired] | None) -> list[ToolDef]:
        """A group whose provider does not answer is left out: its health says why. Who wants to know the caller is
        noted in `refused`."""
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                return await self._tools(group)
        except AuthenticationRequired as error:
            if refused is not None:
                refused.append(error)
            return []
        except (StackError, TimeoutError):
            return []

    async def _tools(self, group: ToolGroup) -> list[ToolDef]:
        provider = self._registry.instance(group)
        if not hasattr(provider, "tools"):
            raise Unsupported(f"{group.provider_id} does not list the tools of {group.identifier}")
        tools = [
            tool.model_copy(update={"toolgroup_id": group.identifier})
            for tool in await cast(ToolSource, provider).tools(group)
        ]
        self._forget(group.identifier)
        for tool in tools:
            self._group_of.setdefault(tool.name, group.identifier)
        return tools

    def _forget(self, group: str) -> None:
        self._group_of = {tool: known for tool, known in self._group_of.items() if known != group}


class RuntimeTools:
    """The listing of the Tool Runtime API."""

    def __init__(self, groups: ToolGroupRegistry) -> None:
        self._groups = groups

    async def list_runtime_tools(
        self, tool_group_id: str | None = None, mcp_endpoint: URL | None = None
    ) -> ToolDefList:
        """The tools of a group, of an MCP server, or of all groups."""
        if tool_group_id is not None and mcp_endpoint is not None:
            raise InvalidRequest("tool_group_id and mcp_endpoint exclude each other", "give one of the two")
        if mcp_endpoint is not None:
            return await self._groups.tools_at(mcp_endpoint)
        return await self._groups.list_tools(tool_group_id)
