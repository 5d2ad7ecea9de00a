"""The server side of the door: an HTTP request in, an HTTP answer out, whatever carries the two."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from stack_core.apis._bind import Door
from stack_core.apis._call import close
from stack_core.context import request_scope
from stack_core.errors import StackError
from stack_core.wire import faults
from stack_core.wire.requests import CLIENT_VERSION, arguments, provider_data
from stack_core.wire.results import DONE, EVENT_STREAM, encode, frame
from stack_core.wire.table import RouteTable

_log = logging.getLogger(__name__)
_JSON = ("content-type", "application/json")
_STREAM = [
    ("content-type", f"{EVENT_STREAM}; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
]


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. `path` is percent-encoded, header names are lower-case."""

    verb: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out: `body`, or `frames` where the answer is streamed; `source` is what they are made of."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    frames: AsyncGenerator[bytes, None] | None = None
    source: AsyncIterator[Any] | None = None


class Service:
    """Answers requests through a door.

    Args:
        secrets: texts that are masked in every error that is sent.
    """

    def __init__(self, door: Door, table: RouteTable, secrets: Iterable[str] = ()) -> None:
        self._door, self._table, self._secrets = door, table, tuple(secrets)

    @asynccontextmanager
    async def answer(self, request: Request) -> AsyncIterator[Reply]:
        """The reply to a request; the call and its stream live inside the block, in one task. Leaving it, also by
        cancellation, closes the stream."""
        try:
            data = provider_data(request.headers)
        except StackError as error:
            yield self.refusal(error)
            return
        with request_scope(data=data):
            reply = await self._reply(request)
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

    async def _reply(self, request: Request) -> Reply:
        try:
            route, found = self._table.match(request.verb, request.path)
            args = arguments(route, found, request.query, request.body)
            result = await self._door.call(route, args)
            if not hasattr(result, "__aiter__"):
                return Reply(204, []) if result is None else Reply(200, [_JSON], encode(result))
            return await self._stream(result, done=CLIENT_VERSION not in request.headers)
        except StackError as error:
            return self.refusal(error)
        except Exception as error:  # noqa: BLE001 - the last handler: a bug here must not end the connection
            return self.refusal(self._bug(error))

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
