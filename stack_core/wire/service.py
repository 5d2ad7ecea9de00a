"""The server side of the door: an HTTP request in, an HTTP answer out, whatever carries the two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from stack_core.apis._bind import Door
from stack_core.apis._call import close
from stack_core.apis._content import FileContent
from stack_core.apis._declare import Route
from stack_core.context import request_scope, user
from stack_core.errors import InvalidRequest, ProviderTimeout, StackError
from stack_core.wire import faults
from stack_core.wire.requests import CLIENT_VERSION, arguments, check_no_file, form_arguments, provider_data
from stack_core.wire.results import DONE, EVENT_STREAM, encode, file_headers, frame
from stack_core.wire.table import RouteTable

_log = logging.getLogger(__name__)
_JSON = ("content-type", "application/json")
_STREAM = [
    ("content-type", f"{EVENT_STREAM}; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
]


class Gone(Exception):
    """The client closed the connection before it had sent the whole request: there is nobody to answer."""


class Broken(Exception):
    """A file stopped in the middle. Whoever carries the answer must end it so that the client notices."""


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. `path` is percent-encoded, header names are lower-case; `body` is read piece by piece where it is
    a form (`forms.is_form`) and raises `Gone` where it ends early."""

    verb: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | AsyncIterable[bytes]


@dataclass(slots=True)
class Reply:
    """What goes out: `body`, or `frames` where the answer is streamed; `source` is what they are made of. `frames` of
    a file may raise `Broken`. `route` is the one that was asked, where that is known."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    frames: AsyncGenerator[bytes, None] | None = None
    source: Any = None
    route: Route | None = None


class Service:
    """Answers requests through a door.

    Args:
        secrets: texts that are masked in every error that is sent.
        limit: seconds that a call may take until its answer, or its stream's first item; None is no limit.
        most: bytes that an uploaded file may have; None is no limit.
    """

    def __init__(
        self,
        door: Door,
        table: RouteTable,
        secrets: Iterable[str] = (),
        *,
        limit: float | None = None,
        most: int | None = None,
    ) -> None:
        self._door, self._table, self._secrets = door, table, tuple(secrets)
        self._limit, self._most = limit, most

    @asynccontextmanager
    async def answer(self, request: Request) -> AsyncIterator[Reply]:
        """The reply to a request; the call and its stream live inside the block, in one task. Leaving it, also by
        cancellation, closes the stream and deletes what was kept of an upload.

        Raises:
            Gone: the body ended early.
        """
        try:
            data = provider_data(request.headers)
        except StackError as error:
            yield self.refusal(error)
            return
        with request_scope(caller=user.get(), data=data), ExitStack() as files:
            reply = await self._reply(request, files)
            try:
                yield reply
            finally:
                if reply.frames is not None:
                    await reply.frames.aclose()
                    # Frames that nobody began to read do not close what they are made of.
                    await close(reply.source)

    def refusal(self, error: StackError) -> Reply:
        """The reply that tells of an error."""
        body = faults.body_of(error, self._secrets)
        return Reply(error.status, [_JSON, *faults.headers_of(error)], body)

    def last_frame(self, error: StackError) -> bytes:
        """The event that tells of an error after a stream began."""
        return b"data: " + faults.body_of(error, self._secrets) + b"\n\n"

    async def _reply(self, request: Request, files: ExitStack) -> Reply:
        route: Route | None = None
        try:
            route, found = self._table.match(request.verb, request.path)
            reply = await self._result(route, await self._arguments(route, found, request, files), request)
        except StackError as error:
            reply = self.refusal(error)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - the last handler: a bug here must not end the connection
            reply = self.refusal(self._bug(error))
        reply.route = route
        return reply

    async def _result(self, route: Route, args: dict[str, Any], request: Request) -> Reply:
        try:
            async with asyncio.timeout(self._limit) as clock:
                result = await self._door.call(route, args)
                if isinstance(result, FileContent):
                    return await self._file(result, head=request.verb == "HEAD")
                if hasattr(result, "__aiter__"):
                    return await self._stream(result, done=CLIENT_VERSION not in request.headers)
        except TimeoutError as error:
            if not clock.expired():
                raise
            hint = "ask for less, or let server.request_timeout in the run file be longer"
            raise ProviderTimeout(f"{route.id} took over {self._limit} s", hint) from error
        return Reply(204, []) if result is None else Reply(200, [_JSON], encode(result))

    async def _arguments(
        self, route: Route, found: Mapping[str, str], request: Request, files: ExitStack
    ) -> dict[str, Any]:
        if found and "%00" in request.path:
            raise InvalidRequest("the path holds a NUL character", "no id has one")
        content_type = request.headers.get("content-type", "")
        if not isinstance(request.body, bytes):
            return await form_arguments(route, found, request.body, content_type, files, most=self._most)
        check_no_file(route)
        return arguments(route, found, request.query, request.body, content_type)

    async def _file(self, content: FileContent, *, head: bool) -> Reply:
        """A file. Its first piece is awaited before the head goes out, as with a stream."""
        headers = file_headers(content)
        if head:
            await content.aclose()
            return Reply(200, headers)
        pieces = content.chunks()
        try:
            first = [await anext(pieces)]
        except StopAsyncIteration:
            first = []
        except BaseException:
            await content.aclose()
            raise
        return Reply(200, headers, frames=self._pieces(first, pieces), source=content)

    async def _pieces(self, first: list[bytes], pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            for piece in first:
                yield piece
            async for piece in pieces:
                yield piece
        except Exception as error:
            _log.error("a file broke while it was sent: %s", type(error).__name__, exc_info=error)
            raise Broken(str(error)) from error

    async def _stream(self, result: Any, *, done: bool) -> Reply:
        """The first item is awaited before the head goes out, so that a call that fails at once has its own status."""
        items = aiter(result)
        try:
            first = [await anext(items)]
        except StopAsyncIteration:
            first = []
        except BaseException:
            await close(items)
            raise
        return Reply(200, _STREAM, frames=self._frames(first, items, done), source=items)

    async def _frames(self, first: list[Any], items: AsyncIterator[Any], done: bool) -> AsyncGenerator[bytes, None]:
        try:
            for item in first:
                yield frame(item)
            async for item in items:
                yield frame(item)
            if done:
                yield DONE
        except StackError as error:
            yield self.last_frame(error)
        except Exception as error:  # noqa: BLE001 - the last handler: the client must learn that the stream broke
            yield self.last_frame(self._bug(error))

    def _bug(self, error: Exception) -> StackError:
        """A fault of ours: logged with its place, told without it."""
        _log.error("a call failed: %s", type(error).__name__, exc_info=error)
        return StackError(f"internal error ({type(error).__name__})", "the server's log has more")
