"""One ASGI application for all routes: reads the request, lets the wire answer, stops the work when the client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from stack_core import context
from stack_core.apis._content import FileContent
from stack_core.apis._declare import Route
from stack_core.config import Server
from stack_core.errors import (
    AccessDenied,
    InvalidRequest,
    PayloadTooLarge,
    ProviderTimeout,
    ProviderUnavailable,
    RequestError,
)
from stack_core.server.asgi import Receive, Scope, Send
from stack_core.server.compression import unpacked
from stack_core.server.logs import request_line
from stack_core.server.metrics import CONTENT_TYPE, Metrics
from stack_core.wire.forms import is_form
from stack_core.wire.service import Broken, Gone, Reply, Request, Service

FORM_ROOM = 2 * 1024 * 1024
"""Bytes that a form may have beside its file."""

LEFT = 499
"""The status of a request whose client left before the answer, in logs and metrics."""


@dataclass(slots=True)
class _Tally:
    """What became of a request."""

    route: Route | None = None
    status: int = LEFT
    size: int = 0


class Endpoint:
    """Answers every HTTP request of the application.

    Args:
        service: the wire's server side.
        settings: limits and what is told of the work.
        metrics: counts it.
    """

    def __init__(self, service: Service, settings: Server, metrics: Metrics) -> None:
        self.service, self.settings, self.metrics = service, settings, metrics
        self._access = settings.log_format == "json"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served, not {scope['type']}")
        if scope["path"] == "/metrics" and self.settings.metrics and scope["method"] in ("GET", "HEAD"):
            text = await asyncio.to_thread(self.metrics.text)
            await _send_whole(send, Reply(200, [("content-type", CONTENT_TYPE)], text.encode()))
            return
        began, tally = perf_counter(), _Tally()
        told: list[str] = []
        context.trace_id.set(told)
        self.metrics.began()
        try:
            await self._answer(scope, receive, send, tally)
        finally:
            seconds = perf_counter() - began
            self.metrics.ended(tally.route, scope["method"], tally.status, seconds)
            if self._access:
                facts = {"ms": round(1e3 * seconds, 1), "bytes": tally.size, "trace_id": told[0] if told else None}
                user = context.owner()
                request_line(tally.route, scope["method"], scope["path"], tally.status, **facts, user=user)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, tally: _Tally) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_origin(scope["method"], headers)
            body = await self._body(scope["method"], headers, receive)
        except RequestError as error:
            tally.status = error.status
            await _send_whole(send, self.service.refusal(error))
            return
        except Gone:
            return
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        request = Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)
        await _Exchange(self, request, receive, send, tally).run()

    async def _body(self, verb: str, headers: dict[str, str], receive: Receive) -> bytes | _Incoming:
        """All of the body, or its pieces where it is a form."""
        settings, encoding = self.settings, headers.get("content-encoding", "identity")
        packed = encoding.strip().lower() not in ("identity", "")
        if is_form(verb, headers.get("content-type", "")):
            if packed:
                raise InvalidRequest(f"a form with content-encoding {encoding[:40]!r} is not read", "send it as it is")
            return _Incoming(headers, receive, settings.max_upload_bytes + FORM_ROOM)
        body = await _Incoming(headers, receive, settings.max_body_bytes).whole()
        return await unpacked(body, encoding, settings.max_body_bytes) if packed else body

    def _check_origin(self, verb: str, headers: dict[str, str]) -> None:
        """A browser sends some requests of any page without asking first; the page cannot read the answer, but the
        request would have done its work."""
        if verb != "GET" and not self.settings.cors and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            hint = "set server.cors in the run file to let pages of this machine in"
            raise AccessDenied(f"pages of {headers.get('origin', 'another origin')} may not ask this stack", hint)


class _Incoming:
    """The body of a request as it arrives.

    Raises:
        PayloadTooLarge: as soon as its announced length or what came is over the limit.
        Gone: the client left before the end.
    """

    def __init__(self, headers: dict[str, str], receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self.ended = asyncio.Event()
        length = headers.get("content-length", "")
        self._check(int(length) if length.isdigit() else 0)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            size += len(part)
            self._check(size)
            more = message.get("more_body", False)
            if not more:
                self.ended.set()
            if part:
                yield part

    async def whole(self) -> bytes:
        """All of it."""
        parts = [part async for part in self]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise PayloadTooLarge(f"the request body is over {self._most:,} bytes", "send less at once")


class _Exchange:
    """One request and its answer."""

    def __init__(self, endpoint: Endpoint, request: Request, receive: Receive, send: Send, tally: _Tally) -> None:
        self._service, self._settings, self._metrics = endpoint.service, endpoint.settings, endpoint.metrics
        self._request, self._receive, self._send, self._tally = request, receive, send, tally
        self._gone = False
        self._complete = False
        self._began = False
        self._file = False

    async def run(self) -> None:
        """Answer; a client that goes away cancels the call and its stream."""
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.create_task(self._watch(task))
        try:
            async with self._service.answer(self._request) as reply:
                self._tally.route = reply.route
                await self._deliver(reply)
        except asyncio.CancelledError:
            if not self._gone:
                await self._end_early()
                return
            task.uncancel()
        except Gone:
            return
        finally:
            watcher.cancel()

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        if isinstance(self._request.body, _Incoming):
            await self._request.body.ended.wait()  # until then, whoever reads the form sees the client leave
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._complete:
            self._gone = True
            task.cancel()

    async def _deliver(self, reply: Reply) -> None:
        if reply.frames is None:
            self._complete = self._began = True
            self._tally.status, self._tally.size = reply.status, len(reply.body)
            await _send_whole(self._send, reply)
            return
        self._file = isinstance(reply.source, FileContent)
        await self._send({"type": "http.response.start", "status": reply.status, "headers": _raw(reply.headers)})
        self._began = True
        try:
            async with asyncio.timeout(None if self._file else self._settings.stream_timeout):
                await self._frames(reply)
        except Broken:
            self._complete = True
            return  # an answer without an end: the HTTP server closes the connection
        except TimeoutError:
            error = ProviderTimeout(f"the stream took over {self._settings.stream_timeout} s")
            await self._send({"type": "http.response.body", "body": self._service.last_frame(error), "more_body": True})
        self._complete = True
        self._tally.status = reply.status
        await self._send({"type": "http.response.body", "body": b""})

    async def _frames(self, reply: Reply) -> None:
        assert reply.frames is not None
        send, tally, metrics = self._send, self._tally, self._metrics
        async for part in reply.frames:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            tally.size += len(part)
            metrics.piece(reply.route)

    async def _end_early(self) -> None:
        """The server stops and has waited long enough: the answer ends with an error, not in the middle."""
        error = ProviderUnavailable("the server is shutting down", "ask again when it is back")
        self._tally.status = error.status
        if not self._began:
            self._complete = True
            await _send_whole(self._send, self._service.refusal(error))
        elif not self._complete and not self._file:
            self._complete = True
            await self._send({"type": "http.response.body", "body": self._service.last_frame(error)})


async def _send_whole(send: Send, reply: Reply) -> None:
    headers = _raw(reply.headers)
    if reply.status != 204 and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _raw(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
