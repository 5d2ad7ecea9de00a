"""What services of the web that answer a question share: one tool, a key, a call, its failures as our errors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import from_json, to_json

from stack_core import context
from stack_core.apis._tools import ToolDef
from stack_core.apis.providers import ProviderId
from stack_core.apis.tool_groups import ToolGroup
from stack_core.apis.tool_runtime import InvokeToolRequest, ToolInvocationResult, ToolRuntime
from stack_core.errors import ConfigError, InvalidRequest, MissingCredential, NotFound, ProviderError
from stack_core.http import HTTPError, InvalidURL, Network, open_client
from stack_core.providers._refusals import About, Refusals
from stack_core.providers.tool_runtime._results import Gathering


class WebConfig(BaseModel):
    """A key and the connection; a service adds its address and its own fields."""

    model_config = ConfigDict(extra="forbid")
    api_key: SecretStr | None = None
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")


class Ask(NamedTuple):
    """A call of a service."""

    verb: str
    headers: Mapping[str, str] = {}
    params: Mapping[str, Any] = {}
    body: Any = None


class WebTool(ToolRuntime):
    """One tool of one service.

    A subclass says how its service is asked (`ask`) and what of the answer a model is told (`told`).
    """

    name: str = "web_search"
    description: str = "Search the web for information"
    asked: str = "The query to search for"
    key: str
    """The name of the caller's own key in the provider data; its upper case is the variable."""

    def __init__(self, config: WebConfig, url: str, provider_id: ProviderId) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{url!r} is not an address", "write it like https://host/path", where="url")
        self._id, self._url = str(provider_id), url
        self._key = config.api_key.get_secret_value().strip() if config.api_key else ""
        self._client = open_client(network=config.network)
        self._refusals = Refusals(self._id)

    async def __aenter__(self) -> WebTool:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client.aclose()

    @abstractmethod
    def ask(self, query: str, key: str) -> Ask:
        """The call for a query."""

    @abstractmethod
    def told(self, answer: dict[str, Any], query: str) -> Any:
        """What a model is told of an answer."""

    def fault(self, answer: dict[str, Any]) -> str | None:
        """What an answer of status 200 says went wrong; None where nothing did."""
        return None

    async def tools(self, group: ToolGroup) -> list[ToolDef]:
        """The one tool."""
        schema = {
            "type": "object",
            "properties": {"query": {"type": "string", "description": self.asked}},
            "required": ["query"],
        }
        return [ToolDef(name=self.name, description=self.description, input_schema=schema)]

    async def invoke_tool(self, request: InvokeToolRequest) -> ToolInvocationResult:
        """Ask the service.

        Raises:
            InvalidRequest: there is no query, or more than a query.
            MissingCredential: there is no key.
            StackError: the service refused or failed.
        """
        query = self._query(request)
        key = str(context.provider_data.get().get(self.key) or self._key)
        if not key:
            raise MissingCredential(
                f"{self._id} has no key",
                f"set api_key, the variable {self.key.upper()}, or {self.key} in the provider data",
            )
        found = self.told(await self._call(self.ask(query, key), key), query)
        kept = Gathering()
        kept.text(to_json(found).decode())
        metadata = {"truncated": True} if kept.cut else None
        return ToolInvocationResult(content=kept.items, metadata=metadata)

    def unreadable(self, what: str) -> ProviderError:
        """The error for an answer that is not what the service promises."""
        return ProviderError(f"{self._id} gave an answer that cannot be read: {what}", provider_id=self._id)

    def _query(self, request: InvokeToolRequest) -> str:
        if request.tool_name != self.name:
            raise NotFound("tool", request.tool_name, [self.name])
        query = request.kwargs.get("query")
        if not isinstance(query, str) or not query.strip():
            raise InvalidRequest(f"{self.name} needs a query", 'kwargs: {"query": "…"}')
        # Agents hand their ids to every tool.
        if unknown := request.kwargs.keys() - {"query", "session_id", "toolgroup_id"}:
            raise InvalidRequest(f"{self.name} does not take {', '.join(sorted(unknown))}", "it takes query")
        return query

    async def _call(self, ask: Ask, key: str) -> dict[str, Any]:
        content = None if ask.body is None else to_json(ask.body)
        headers = {
            "accept": "application/json",
            **({"content-type": "application/json"} if content else {}),
            **ask.headers,
        }
        try:
            response = await self._client.request(
                ask.verb, self._url, params=dict(ask.params) or None, content=content, headers=headers
            )
        except (HTTPError, InvalidURL) as error:
            raise self._refusals.from_network(error, self._url) from error
        if response.status_code >= 300:
            about = About(secrets=(key,))
            raise self._refusals.from_response(response.status_code, response.content, response.headers, about)
        try:
            found = from_json(response.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.unreadable("it is no JSON object")
        if (said := self.fault(found)) is not None:
            raise self._refusals.from_payload({"message": said}, About(secrets=(key,)))
        return found


def rows(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing where there is no list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def part(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those fields of an object that it has."""
    return {name: row[name] for name in names if row.get(name) is not None}
