"""One ASGI application for all routes: reads the request, lets the wire answer, stops the work when the client goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from stack_core.errors import AccessDenied, PayloadTooLarge, ProviderUnavailable
from stack_core.wire.service import Reply, Request, Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 100 * 1024 * 1024
"""Largest request body, in bytes."""


class Gone(Exception):
    """The client closed the connection before it had sent the whole request."""


class Endpoint:
    """Answers every HTTP request of the application.

    Args:
        service: the wire's server side.
        pages: whether pages of other origins may ask (a CORS policy stands in front, then).
        max_body: largest request body, in bytes.
    """

    def __init__(self, service: Service, *, pages: bool = False, max_body: int = MAX_BODY) -> None:
        self._service, self._pages, self._max_body = service, pages, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served, not {scope['type']}")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_origin(scope["method"], headers)
            body = await self._body(headers, receive)
        except (AccessDenied, PayloadTooLarge) as error:
            await _send_whole(send, self._service.refusal(error))
            return
        except Gone:
            return
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        request = Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)
        await _Exchange(self._service, request, receive, send).run()

    def _check_origin(self, verb: str, headers: dict[str, str]) -> None:
        """A browser sends some requests of any page without asking first; the page cannot read the answer, but the
        request would have done its work."""
        if verb != "GET" and not self._pages and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            hint = "set server.cors in the run file to let pages of this machine in"
            raise AccessDenied(f"pages of {headers.get('origin', 'another origin')} may not ask this stack", hint)

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "")
        self._check(int(length) if length.isdigit() else 0)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            size += len(part)
            self._check(size)
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _check(self, size: int) -> None:
        if size > self._max_body:
            raise PayloadTooLarge(f"the request body is over {self._max_body:,} bytes", "send less at once")


class _Exchange:
    """One request and its answer."""

    def __init__(self, service: Service, request: Request, receive: Receive, send: Send) -> None:
        self._service, self._request, self._receive, self._send = service, request, receive, send
        self._gone = False
        self._complete = False
        self._began = False

    async def run(self) -> None:
        """Answer; a client that goes away cancels the call and its stream."""
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.create_task(self._watch(task))
        try:
            async with self._service.answer(self._request) as reply:
                await self._deliver(reply)
        except asyncio.CancelledError:
            if not self._gone:
                await self._end_early()
                return
            task.uncancel()
        finally:
            watcher.cancel()

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._complete:
            self._gone = True
            task.cancel()

    async def _deliver(self, reply: Reply) -> None:
        if reply.frames is None:
            self._complete = self._began = True
            await _send_whole(self._send, reply)
            return
        send = self._send
        await send({"type": "http.response.start", "status": reply.status, "headers": _raw(reply.headers)})
        self._began = True
        async for part in reply.frames:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        self._complete = True
        await send({"type": "http.response.body", "body": b""})

    async def _end_early(self) -> None:
        """The server stops and has waited long enough: the answer ends with an error, not in the middle."""
        error = ProviderUnavailable("the server is shutting down", "ask again when it is back")
        if not self._began:
            self._complete = True
            await _send_whole(self._send, self._service.refusal(error))
        elif not self._complete:
            self._complete = True
            await self._send({"type": "http.response.body", "body": self._service.last_frame(error)})


async def _send_whole(send: Send, reply: Reply) -> None:
    headers = _raw(reply.headers)
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _raw(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
