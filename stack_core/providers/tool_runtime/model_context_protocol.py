"""Tools of MCP servers: by streamable HTTP, by SSE, or programs of this machine (stdio)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._tools import ToolDef
from stack_core.apis.providers import ProviderId
from stack_core.apis.tool_groups import ToolGroup
from stack_core.apis.tool_runtime import InvokeToolRequest, ToolInvocationResult, ToolRuntime
from stack_core.errors import ProviderUnavailable, StackError
from stack_core.http import Network
from stack_core.providers._registry import provider
from stack_core.providers.tool_runtime._mcp_target import Target, target_of
from stack_core.providers.tool_runtime._results import failed

if TYPE_CHECKING:
    from stack_core.providers.tool_runtime._mcp_session import Session

MOST_SESSIONS = 64
"""Sessions kept open; past that the one that was used longest ago ends."""
CODE_TIMEOUT, CODE_LOST = 504, 503
"""`error_code` of a call that took too long, and of one whose connection ended."""


class McpConfig(BaseModel):
    """Llama Stack 0.3.5 has no fields here: the server belongs to the tool group. Those are ours."""

    model_config = ConfigDict(extra="forbid")
    timeout: float = Field(60.0, gt=0, description="Seconds that a call may take, unless the group says otherwise.")
    stdio: bool = Field(
        False,
        description="Whether a group may name a program to start: whoever may register groups then runs programs.",
    )
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")


class Server(NamedTuple):
    """What a server says of itself."""

    name: str | None
    version: str | None
    instructions: str | None


@provider("remote::model-context-protocol", packages=("mcp",), extra="mcp")
class ModelContextProtocol(ToolRuntime):
    """Calls the tools of MCP servers. Each caller's headers have a session of their own, which is opened again when it
    ended."""

    Config = McpConfig

    def __init__(self, config: McpConfig, provider_id: ProviderId) -> None:
        self._config, self._id = config, str(provider_id)
        self._sessions: dict[Target, Session] = {}
        self._opening: WeakValueDictionary[Target, asyncio.Lock] = WeakValueDictionary()
        self._transports: dict[str, str] = {}

    async def __aenter__(self) -> ModelContextProtocol:
        return self

    async def __aexit__(self, *error: Any) -> None:
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*(session.close() for session in sessions))

    async def tools(self, group: ToolGroup) -> list[ToolDef]:
        """The tools of a group's server, asked anew: a server may change them at any time."""
        from stack_core.providers.tool_runtime._mcp_answers import tool_def
        from stack_core.providers.tool_runtime._mcp_session import Lost

        target, _ = target_of(group, self._config.stdio)
        for attempt in range(2):
            session = await self._session(target)
            try:
                return [tool_def(tool, target.name) for tool in await session.tools()]
            except Lost as error:
                await self._drop(target, session)
                if attempt:
                    raise ProviderUnavailable(
                        f"the MCP server {target.name} ends the connection: {error}", provider_id=self._id
                    ) from error
        raise AssertionError

    async def server(self, group: ToolGroup) -> Server:
        """What a group's server says of itself."""
        target, _ = target_of(group, self._config.stdio)
        return Server(*(await self._session(target)).greeting())

    def of(self, group: ToolGroup) -> GroupTools:
        """The tools of one group."""
        return GroupTools(self, group)

    async def invoke(self, group: ToolGroup, request: InvokeToolRequest) -> ToolInvocationResult:
        """Call a tool of a group. A server that does not know the session any more is asked again; a connection that
        ended in the middle too, if the server says that the tool may be called twice.

        Raises:
            AuthenticationRequired: the server wants other headers.
            ProviderUnavailable: it cannot be reached.
        """
        from mcp.shared.exceptions import MCPError
        from mcp.types import REQUEST_TIMEOUT

        from stack_core.providers.tool_runtime._mcp_answers import result_of
        from stack_core.providers.tool_runtime._mcp_session import Lost

        target, seconds = target_of(group, self._config.stdio)
        attempt = 0
        while True:
            session = await self._session(target)
            try:
                answer = await session.call(request.tool_name, request.kwargs, seconds or self._config.timeout)
                return result_of(answer)
            except MCPError as error:
                code = CODE_TIMEOUT if error.code == REQUEST_TIMEOUT else error.code
                return failed(target.scrub(f"{request.tool_name}: {error.message}"), code)
            except Lost as error:
                await self._drop(target, session)
                attempt += 1
                if attempt > 1 or (error.sent and not session.repeatable(request.tool_name)):
                    said = f"{request.tool_name}: the connection to {target.name} ended in the call ({error})"
                    return failed(f"{said}; whether the tool did its work is not known", CODE_LOST)

    async def _session(self, target: Target) -> Session:
        """The session with a server, opened where there is none that lives."""
        lock = self._opening.setdefault(target, asyncio.Lock())
        async with lock:
            session = self._sessions.pop(target, None)
            if session is not None and not session.alive:
                await session.close()
                session = None
            if session is None:
                session = await self._open(target)
            self._sessions[target] = session  # at the end: the first one was used longest ago
        if len(self._sessions) > MOST_SESSIONS:
            oldest = next(iter(self._sessions))
            await self._drop(oldest, self._sessions[oldest])
        return session

    async def _open(self, target: Target) -> Session:
        from stack_core.providers.tool_runtime._mcp_session import Session

        known = target.transport or self._transports.get(target.uri)
        ways = (
            [known]
            if known
            else ["sse", "streamable_http"]
            if target.uri.endswith("/sse")
            else ["streamable_http", "sse"]
        )
        first: StackError | None = None
        for way in ways:
            session = Session(target, way, self._config.network, self._id)
            try:
                await session.open()
            except StackError as error:
                first = first or error
                if not session.wrong_transport:
                    break
                continue
            if target.uri:
                self._transports[target.uri] = way
            return session
        self._transports.pop(target.uri, None)
        assert first is not None
        raise first

    async def _drop(self, target: Target, session: Session) -> None:
        if self._sessions.get(target) is session:
            del self._sessions[target]
        await session.close()


class GroupTools:
    """The tools of one group."""

    def __init__(self, servers: ModelContextProtocol, group: ToolGroup) -> None:
        self._servers, self._group = servers, group

    async def invoke_tool(self, request: InvokeToolRequest) -> ToolInvocationResult:
        """Call a tool."""
        return await self._servers.invoke(self._group, request)
