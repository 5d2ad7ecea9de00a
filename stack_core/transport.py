"""An HTTP client's transport that leads into an open stack: no port, no server.

    http_client = httpx2.Client(transport=in_process_transport(stack, httpx2))
    openai.OpenAI(base_url="http://stack/v1", api_key="none", http_client=http_client)

The SDKs differ in which HTTP package they use, `httpx` or `httpx2`, so the caller hands in the one that its SDK has.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

from stack_core.apis._declare import Route
from stack_core.config import RunConfig
from stack_core.errors import InvalidRequest
from stack_core.server.aliases import route_table
from stack_core.wire.service import Reply, Request, Service


class Open(Protocol):
    """What the transport needs of a stack."""

    @property
    def config(self) -> RunConfig:
        """The run configuration it was opened with."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs on."""
        ...

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """The door."""
        ...


def in_process_transport(stack: Open, http: Any) -> InProcess:
    """A transport for `http.Client` (from any thread but the stack's own) and for `http.AsyncClient` (from any loop).

    Args:
        http: the module `httpx` or `httpx2`, whichever the SDK uses.
    """
    return InProcess(stack, http)


class InProcess:
    """Both kinds of transport. Each request is one task on the stack's loop, which hands over what it makes at once."""

    def __init__(self, stack: Open, http: Any) -> None:
        self._loop, self._http = stack.loop, http
        self._service = Service(stack, route_table(), stack.config.secrets())
        self._sync_stream = type("ReplyStream", (_SyncFrames, http.SyncByteStream), {})
        self._async_stream = type("ReplyStream", (_AsyncFrames, http.AsyncByteStream), {})

    def handle_request(self, request: Any) -> Any:
        """Send a request from a thread; the response is read as it comes. An interrupt cancels the call.

        Raises:
            InvalidRequest: called on the stack's own thread, which would wait for itself.
        """
        self._check(request)
        if _running_loop() is self._loop:
            raise InvalidRequest(
                "a synchronous client on the stack's own event loop would wait for itself",
                "use the SDK's asynchronous client with the same transport, or another thread",
            )
        box: queue.SimpleQueue[Any] = queue.SimpleQueue()
        request.read()
        work = asyncio.run_coroutine_threadsafe(self._carry_out(_taken(request), box.put), self._loop)
        frames = self._sync_stream(box, work, request, self._http)
        try:
            reply = frames.next_part()
        except BaseException:
            frames.close()
            raise
        return self._response(reply, frames, request)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request from a coroutine on any loop."""
        self._check(request)
        here = asyncio.get_running_loop()
        box: asyncio.Queue[Any] = asyncio.Queue()
        put = box.put_nowait if here is self._loop else _thread_safe(here, box.put_nowait)
        await request.aread()
        work = asyncio.run_coroutine_threadsafe(self._carry_out(_taken(request), put), self._loop)
        frames = self._async_stream(box, work, request, self._http)
        try:
            reply = await frames.next_part()
        except BaseException:
            await frames.aclose()
            raise
        return self._response(reply, frames, request)

    def _check(self, request: Any) -> None:
        if self._loop.is_closed() or not self._loop.is_running():
            raise self._http.ConnectError("the stack is closed", request=request)

    async def _carry_out(self, request: Request, put: Callable[[Any], None]) -> None:
        """Answer on the stack's loop: first the reply, then its frames, then None."""
        try:
            async with self._service.answer(request) as reply:
                put(reply)
                if reply.frames is not None:
                    async for part in reply.frames:
                        put(part)
        finally:
            put(None)

    def _response(self, reply: Reply | None, frames: Any, request: Any) -> Any:
        if reply is None:
            raise self._http.RemoteProtocolError("the stack closed before it answered", request=request)
        if reply.frames is None:
            return self._http.Response(reply.status, headers=reply.headers, content=reply.body, request=request)
        return self._http.Response(reply.status, headers=reply.headers, stream=frames, request=request)

    def close(self) -> None:
        """The stack belongs to whoever opened it."""

    async def aclose(self) -> None:
        """The stack belongs to whoever opened it."""

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> InProcess:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _SyncFrames:
    """A streamed body for a thread. Closing it before its end cancels the call."""

    def __init__(self, box: queue.SimpleQueue[Any], work: Future[None], request: Any, http: Any) -> None:
        self._box, self._work, self._request, self._http = box, work, request, http

    def next_part(self) -> Any:
        """Wait for what comes next, as long as the client's read timeout allows."""
        seconds = _read_timeout(self._request)
        try:
            return self._box.get(timeout=seconds)
        except queue.Empty:
            raise self._http.ReadTimeout(f"nothing came for {seconds} s", request=self._request) from None

    def __iter__(self) -> Iterator[bytes]:
        while (part := self.next_part()) is not None:
            yield part

    def close(self) -> None:
        """Stop the call, if it still runs."""
        self._work.cancel()


class _AsyncFrames:
    """A streamed body for a coroutine. Closing it before its end cancels the call."""

    def __init__(self, box: asyncio.Queue[Any], work: Future[None], request: Any, http: Any) -> None:
        self._box, self._work, self._request, self._http = box, work, request, http

    async def next_part(self) -> Any:
        """Wait for what comes next, as long as the client's read timeout allows."""
        seconds = _read_timeout(self._request)
        try:
            async with asyncio.timeout(seconds):
                return await self._box.get()
        except TimeoutError:
            raise self._http.ReadTimeout(f"nothing came for {seconds} s", request=self._request) from None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self.next_part()) is not None:
            yield part

    async def aclose(self) -> None:
        """Stop the call, if it still runs."""
        self._work.cancel()


def _taken(request: Any) -> Request:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(request.method, path, query, headers, request.content)


def _read_timeout(request: Any) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


def _thread_safe(loop: asyncio.AbstractEventLoop, put: Callable[[Any], None]) -> Callable[[Any], None]:
    def hand_over(part: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(put, part)

    return hand_over


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
