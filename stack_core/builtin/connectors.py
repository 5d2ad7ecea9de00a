"""The MCP servers that the run file names."""

from __future__ import annotations

from typing import Any, NoReturn

from pydantic import ValidationError

from stack_core.apis._tools import ToolDef, ToolDefList
from stack_core.apis.connectors import Connector, ConnectorList, Connectors
from stack_core.builtin._ground import Ground
from stack_core.errors import ConfigError, NotFound, Unsupported


class ConnectorRegistry(Connectors):
    """What stands under `registered_resources.connectors`."""

    def __init__(self, ground: Ground) -> None:
        rows = enumerate(ground.registered("connectors"))
        found = [_connector(row, f"registered_resources.connectors[{index}]") for index, row in rows]
        self._connectors = {connector.connector_id: connector for connector in found}

    async def list_connectors(self) -> ConnectorList:
        """All connectors."""
        return ConnectorList(data=list(self._connectors.values()))

    async def get_connector(self, connector_id: str, authorization: str | None = None) -> Connector:
        """One connector."""
        found = self._connectors.get(connector_id)
        if found is None:
            raise NotFound("connector", connector_id, self._connectors)
        if authorization is not None:
            _needs_mcp(found, "authorization is for its server, which is not asked")
        return found

    async def list_connector_tools(self, connector_id: str, authorization: str | None = None) -> ToolDefList:
        """The tools of a connector's server."""
        _needs_mcp(await self.get_connector(connector_id), "its tools cannot be listed")

    async def get_connector_tool(self, connector_id: str, tool_name: str, authorization: str | None = None) -> ToolDef:
        """One tool of a connector's server."""
        _needs_mcp(await self.get_connector(connector_id), f"its tool {tool_name!r} cannot be looked up")


def _needs_mcp(connector: Connector, why: str) -> NoReturn:
    raise Unsupported(
        f"connector {connector.connector_id!r}: {why}: this version has no client of MCP servers",
        "remote::model-context-protocol (tool_runtime) will bring it",
    )


def _connector(row: dict[str, Any], where: str) -> Connector:
    try:
        return Connector.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join([where, *map(str, first["loc"])])
        raise ConfigError(first["msg"], f"it has {', '.join(Connector.model_fields)}", where=path) from error
