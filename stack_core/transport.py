"""An HTTP client's transport that leads into an open stack: no port, no server.

    http_client = httpx2.Client(transport=in_process_transport(stack, httpx2))
    openai.OpenAI(base_url="http://stack/v1", api_key="none", http_client=http_client)

The SDKs differ in which HTTP package they use, `httpx` or `httpx2`, so the caller hands in the one that its SDK has.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

from stack_core.apis._content import FileContent
from stack_core.apis._declare import Route
from stack_core.config import RunConfig
from stack_core.errors import InvalidRequest
from stack_core.server.aliases import route_table
from stack_core.wire.forms import is_form
from stack_core.wire.service import Broken, Gone, Reply, Request, Service

AHEAD = 8
"""Pieces of a file that may wait for a client that reads slower than the stack does."""


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
        body = _from_thread(request.stream) if _is_form(request) else request.read()
        window = asyncio.Semaphore(AHEAD)
        work = asyncio.run_coroutine_threadsafe(self._carry_out(_taken(request, body), box.put, window), self._loop)
        frames = self._sync_stream(box, work, request, self._http)
        try:
            reply = frames.next_part()
        except BaseException:
            frames.close()
            raise
        return self._response(reply, frames, request, window)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request from a coroutine on any loop."""
        self._check(request)
        here = asyncio.get_running_loop()
        box: asyncio.Queue[Any] = asyncio.Queue()
        put = box.put_nowait if here is self._loop else _thread_safe(here, box.put_nowait)
        body = _from_loop(request.stream, here) if _is_form(request) else await request.aread()
        window = asyncio.Semaphore(AHEAD)
        work = asyncio.run_coroutine_threadsafe(self._carry_out(_taken(request, body), put, window), self._loop)
        frames = self._async_stream(box, work, request, self._http)
        try:
            reply = await frames.next_part()
        except BaseException:
            await frames.aclose()
            raise
        return self._response(reply, frames, request, window)

    def _check(self, request: Any) -> None:
        if self._loop.is_closed() or not self._loop.is_running():
            raise self._http.ConnectError("the stack is closed", request=request)

    async def _carry_out(self, request: Request, put: Callable[[Any], None], window: asyncio.Semaphore) -> None:
        """Answer on the stack's loop: first the reply, then its frames, then None; an exception is raised where the
        client waits. Of a file only so much is read ahead as the window lets through."""
        try:
            async with self._service.answer(request) as reply:
                put(reply)
                if reply.frames is not None:
                    paced = isinstance(reply.source, FileContent)
                    async for part in reply.frames:
                        if paced:
                            await window.acquire()
                        put(part)
        except Gone as error:
            put(error.__cause__)
        except Broken as error:
            put(self._http.ReadError(f"the file broke off: {error}"))
        finally:
            put(None)

    def _response(self, reply: Reply | None, frames: Any, request: Any, window: asyncio.Semaphore) -> Any:
        if reply is None:
            raise self._http.RemoteProtocolError("the stack closed before it answered", request=request)
        if reply.frames is None:
            content = b"" if request.method == "HEAD" else reply.body
            return self._http.Response(reply.status, headers=reply.headers, content=content, request=request)
        if isinstance(reply.source, FileContent):
            frames.taken = lambda: self._loop.call_soon_threadsafe(window.release)
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
        self.taken: Callable[[], object] = _nothing

    def next_part(self) -> Any:
        """Wait for what comes next, as long as the client's read timeout allows."""
        seconds = _read_timeout(self._request)
        try:
            return _unless_raised(self._box.get(timeout=seconds))
        except queue.Empty:
            raise self._http.ReadTimeout(f"nothing came for {seconds} s", request=self._request) from None

    def __iter__(self) -> Iterator[bytes]:
        while (part := self.next_part()) is not None:
            self.taken()
            yield part

    def close(self) -> None:
        """Stop the call, if it still runs."""
        self._work.cancel()

    def __del__(self) -> None:
        # An interrupt may come when the response is made and nobody has it yet who would close it.
        self._work.cancel()


class _AsyncFrames:
    """A streamed body for a coroutine. Closing it before its end cancels the call."""

    def __init__(self, box: asyncio.Queue[Any], work: Future[None], request: Any, http: Any) -> None:
        self._box, self._work, self._request, self._http = box, work, request, http
        self.taken: Callable[[], object] = _nothing

    async def next_part(self) -> Any:
        """Wait for what comes next, as long as the client's read timeout allows."""
        seconds = _read_timeout(self._request)
        try:
            async with asyncio.timeout(seconds):
                return _unless_raised(await self._box.get())
        except TimeoutError:
            raise self._http.ReadTimeout(f"nothing came for {seconds} s", request=self._request) from None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self.next_part()) is not None:
            self.taken()
            yield part

    async def aclose(self) -> None:
        """Stop the call, if it still runs."""
        self._work.cancel()


def _taken(request: Any, body: bytes | AsyncIterable[bytes]) -> Request:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(request.method, path, query, headers, body)


def _is_form(request: Any) -> bool:
    return is_form(request.method, request.headers.get("content-type", ""))


async def _from_thread(stream: Any) -> AsyncIterator[bytes]:
    """The pieces of a synchronous client's body, read in a thread while the client's own waits."""
    pieces = iter(stream)
    async for piece in _until_none(lambda: asyncio.to_thread(next, pieces, None)):
        yield piece


async def _from_loop(stream: Any, loop: asyncio.AbstractEventLoop) -> AsyncIterator[bytes]:
    """The pieces of an asynchronous client's body, read on the client's loop."""
    pieces = aiter(stream)

    async def following() -> bytes | None:
        return await anext(pieces, None)

    here = asyncio.get_running_loop() is loop

    def ask() -> Awaitable[bytes | None]:
        return following() if here else asyncio.wrap_future(asyncio.run_coroutine_threadsafe(following(), loop))

    async for piece in _until_none(ask):
        yield piece


async def _until_none(following: Callable[[], Awaitable[bytes | None]]) -> AsyncIterator[bytes]:
    try:
        while (piece := await following()) is not None:
            yield piece
    except Exception as error:  # whatever the client's own file raises is raised again at the client
        raise Gone from error


def _unless_raised(part: Any) -> Any:
    if isinstance(part, BaseException):
        raise part
    return part


def _nothing() -> None:
    """Nobody waits for the client to take a piece."""


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
