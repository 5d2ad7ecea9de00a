"""One session with an MCP server, kept open by a task of its own: what the SDK opens must be closed in the same task.

The SDK is an optional package: this module is imported when a session is first needed.
"""

from __future__ import annotations

import asyncio
import contextvars
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import IO, Any

from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, METHOD_NOT_FOUND, REQUEST_TIMEOUT, CallToolResult, Tool

from stack_core.errors import AuthenticationRequired, ProviderError, ProviderTimeout, ProviderUnavailable, StackError
from stack_core.http import Client as HttpClient
from stack_core.http import HTTPError, Network, Response, open_client
from stack_core.providers.tool_runtime._mcp_target import Target

OPENING_SECONDS = 30.0
"""How long a server may take to greet."""
MOST_PAGES = 100
MOST_EVENT = 64 * 1024 * 1024
"""Bytes of one message that are read: more than is kept of a result, so that its beginning is not lost."""
_REFUSED = (401, 403)
_NO_SUCH_PATH = (404, 405, 406, 415, 400)


class Lost(Exception):
    """The connection ended. `sent`: the server may have seen the call."""

    def __init__(self, sent: bool, said: str) -> None:
        super().__init__(said)
        self.sent = sent


class Session:
    """A session with one server, by one transport."""

    def __init__(self, target: Target, transport: str, network: Network | None, provider_id: str) -> None:
        self._target, self._transport, self._network, self._id = target, transport, network, provider_id
        self._task: asyncio.Task[None] | None = None
        self._ready, self._stop = asyncio.Event(), asyncio.Event()
        self._client: Client | None = None
        self._status: int | None = None
        self._errors: IO[bytes] | None = None
        self._over = False
        self._repeatable: frozenset[str] = frozenset()

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        return self._ready.is_set() and not self._over and self._task is not None and not self._task.done()

    @property
    def wrong_transport(self) -> bool:
        """Whether what failed at opening was only how the server was spoken to."""
        return self._status in _NO_SUCH_PATH

    async def open(self) -> None:
        """Greet the server.

        Raises:
            AuthenticationRequired: it wants other headers.
            ProviderUnavailable: it cannot be reached, or does not speak MCP.
            ProviderTimeout: it does not answer.
        """
        # A context of its own: the session outlives the call that opened it, and is not of its trace or its caller.
        self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
        self._task.add_done_callback(_seen)
        waiting = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait({self._task, waiting}, timeout=OPENING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            if not self._ready.is_set():
                await self._abandon()
        if not self._ready.is_set():
            raise self._failure(self._task)

    async def close(self) -> None:
        """End the session and whatever was started for it."""
        self._over = True
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5)
            await self._abandon()

    async def tools(self) -> list[Tool]:
        """All pages of the server's tools, as they are now.

        Raises:
            Lost: the connection ended.
            StackError: the server refused.
        """
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            try:
                page = await self._open_client.list_tools(cursor=cursor, cache_mode="bypass")
            except (MCPError, HTTPError, OSError) as error:
                if isinstance(error, MCPError) and error.code == METHOD_NOT_FOUND and self._status not in _REFUSED:
                    return found  # a server that has no tools at all
                raise self._fault(error) from error
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        self._repeatable = frozenset(tool.name for tool in found if _repeatable(tool))
        return found

    async def call(self, name: str, arguments: dict[str, Any], seconds: float) -> CallToolResult:
        """What a tool answers.

        Raises:
            Lost: the connection ended.
            AuthenticationRequired: the server wants other headers.
            MCPError: the server's own refusal; code `REQUEST_TIMEOUT` where it took too long.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._open_client.call_tool(name, arguments)
        except TimeoutError:
            raise MCPError(REQUEST_TIMEOUT, f"the tool did not answer within {seconds:g} s") from None
        except MCPError as error:
            fault = self._fault(error)
            if isinstance(fault, (Lost, AuthenticationRequired)):
                raise fault from error
            raise
        except (HTTPError, OSError) as error:
            raise self._fault(error) from error

    def repeatable(self, name: str) -> bool:
        """Whether the server says that calling this tool twice is as good as once."""
        return name in self._repeatable

    def greeting(self) -> tuple[str | None, str | None, str | None]:
        """The server's name, version and instructions."""
        info = self._open_client.server_info
        return (info.name if info else None, info.version if info else None, self._open_client.instructions)

    @property
    def _open_client(self) -> Client:
        if self._client is None or not self.alive:
            raise Lost(False, "the session is closed")
        self._status = None
        return self._client

    async def _run(self) -> None:
        mode = "legacy" if self._transport == "sse" else "auto"
        async with AsyncExitStack() as exits:
            try:
                self._client = await exits.enter_async_context(Client(self._connection(), mode=mode))
                self._ready.set()
                await self._stop.wait()
            finally:
                self._over = self._over or self._ready.is_set()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[TransportStreams]:
        async with AsyncExitStack() as exits:
            if self._transport == "stdio":
                streams = await exits.enter_async_context(self._program(exits))
            elif self._transport == "sse":
                http = self._http()
                opened = sse_client(
                    self._target.uri, timeout=OPENING_SECONDS, httpx_client_factory=partial(_given, http)
                )
                streams = await exits.enter_async_context(opened)
            else:
                http = await exits.enter_async_context(self._http())
                opened = streamable_http_client(self._target.uri, http_client=http, max_sse_event_size=MOST_EVENT)
                streams = await exits.enter_async_context(opened)
            yield _Watched(streams[0], self._ended), streams[1]

    def _program(self, exits: AsyncExitStack) -> Any:
        """The server as a child; what it says on its error output is kept for the message when it fails."""
        self._errors = exits.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        command, *args = self._target.command
        parameters = StdioServerParameters(
            command=command,
            args=args,
            env=dict(self._target.env),
            cwd=self._target.cwd,
            encoding_error_handler="replace",
        )
        return stdio_client(parameters, errlog=self._errors)  # type: ignore[arg-type]  # only its file number is used

    def _http(self) -> HttpClient:
        """No repeats: a tool that is called twice may do its work twice."""
        client = open_client(network=self._network, headers=dict(self._target.headers), retries=0)

        async def note(response: Response) -> None:
            # A GET of streamable HTTP is refused by servers that never speak unasked: no fault.
            asked = response.request.method == "POST" or self._transport == "sse"
            if response.status_code in _REFUSED or (asked and response.status_code >= 400):
                self._status = response.status_code

        client.event_hooks = {"response": [note]}
        return client

    def _ended(self) -> None:
        self._over = True

    async def _abandon(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _failure(self, task: asyncio.Task[None]) -> StackError:
        """Why the session did not open."""
        if self._status in _REFUSED:
            return self._unauthorized()
        name = self._target.name
        if task.cancelled():
            return ProviderTimeout(
                f"the MCP server {name} did not greet within {OPENING_SECONDS:g} s", provider_id=self._id
            )
        leaf = next(iter(_leaves(task.exception())), None)
        said = self._target.scrub(self._last_words() or str(leaf or "it closed the connection"))
        hint = "check the command" if self._target.command else "check its address, and that it runs"
        if self._status is not None:
            said += f" (HTTP status {self._status})"
        return ProviderUnavailable(f"the MCP server {name} cannot be used: {said[:500]}", hint, provider_id=self._id)

    def _last_words(self) -> str:
        """The end of what a program said on its error output."""
        if self._errors is None or self._errors.closed:
            return ""
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - 400))
        return self._errors.read().decode("utf-8", "replace").strip()

    def _fault(self, error: Exception) -> Exception:
        """What went wrong in a call."""
        said = self._target.scrub(str(error))
        if self._status in _REFUSED:
            self._over = True
            return self._unauthorized()
        if not isinstance(error, MCPError):
            return Lost(True, said or type(error).__name__)
        if error.message == "Session terminated":
            self._over = True
            return Lost(False, "the server does not know the session any more")
        if error.code == CONNECTION_CLOSED or self._over:
            self._over = True
            return Lost(True, "the connection ended")
        return ProviderError(f"the MCP server {self._target.name} refused: {error.message}", provider_id=self._id)

    def _unauthorized(self) -> AuthenticationRequired:
        return AuthenticationRequired(
            f"Unauthorized: the MCP server {self._target.name} refused with status {self._status}",
            "give its headers in the provider data: mcp_headers, address → headers",
        )


class _Watched:
    """A stream of messages that tells when it is over."""

    def __init__(self, stream: Any, ended: Any) -> None:
        self._stream, self._ended = stream, ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> _Watched:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._ended()
            raise


def _given(client: HttpClient, headers: Any = None, timeout: Any = None, auth: Any = None) -> HttpClient:
    """Our client in place of the SDK's: it has the headers already, and the provider's own timeouts."""
    return client


def _seen(task: asyncio.Task[None]) -> None:
    """What ended a session is told by the call that notices; nobody else has to."""
    if not task.cancelled():
        task.exception()


def _repeatable(tool: Tool) -> bool:
    hints = tool.annotations
    return hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error is not None:
        yield error
