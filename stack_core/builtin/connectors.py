"""The MCP servers that the run file names."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from stack_core.apis._interleaved import URL
from stack_core.apis._tools import ToolDef, ToolDefList
from stack_core.apis.connectors import Connector, ConnectorList, Connectors
from stack_core.apis.tool_groups import ToolGroup
from stack_core.builtin._ground import Ground
from stack_core.builtin._mcp import mcp_provider
from stack_core.errors import ConfigError, NotFound


class ConnectorRegistry(Connectors):
    """What stands under `registered_resources.connectors`."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        rows = enumerate(ground.registered("connectors"))
        found = [_connector(row, f"registered_resources.connectors[{index}]") for index, row in rows]
        self._connectors = {connector.connector_id: connector for connector in found}

    async def list_connectors(self) -> ConnectorList:
        """All connectors."""
        return ConnectorList(data=list(self._connectors.values()))

    async def get_connector(self, connector_id: str, authorization: str | None = None) -> Connector:
        """One connector; with an authorization its server is asked what it says of itself."""
        found = self._connectors.get(connector_id)
        if found is None:
            raise NotFound("connector", connector_id, self._connectors)
        if authorization is None:
            return found
        server = await mcp_provider(self._ground).server(_group(found, authorization))
        said = {
            "server_name": found.server_name or server.name,
            "server_version": found.server_version or server.version,
            "server_description": found.server_description or server.instructions,
        }
        return found.model_copy(update=said)

    async def list_connector_tools(self, connector_id: str, authorization: str | None = None) -> ToolDefList:
        """The tools of a connector's server."""
        found = await self.get_connector(connector_id)
        return ToolDefList(data=await mcp_provider(self._ground).tools(_group(found, authorization)))

    async def get_connector_tool(self, connector_id: str, tool_name: str, authorization: str | None = None) -> ToolDef:
        """One tool of a connector's server."""
        tools = (await self.list_connector_tools(connector_id, authorization)).data
        for tool in tools:
            if tool.name == tool_name:
                return tool
        raise NotFound("tool", tool_name, [tool.name for tool in tools])


def _group(connector: Connector, authorization: str | None) -> ToolGroup:
    """The connector's server as MCP tools are asked for it."""
    args = {"authorization": authorization} if authorization is not None else None
    return ToolGroup(identifier=connector.connector_id, provider_id="", mcp_endpoint=URL(uri=connector.url), args=args)


def _connector(row: dict[str, Any], where: str) -> Connector:
    try:
        return Connector.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join([where, *map(str, first["loc"])])
        raise ConfigError(first["msg"], f"it has {', '.join(Connector.model_fields)}", where=path) from error
