"""A service on a real socket whose every byte a test decides: it stands for the remote side of the adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from stack_core.apis.providers import ProviderId
from stack_core.providers import _registry
from stack_core.providers.inference.openai_compatible import OpenAICompatible

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class Reply:
    """Writes one answer."""

    writer: asyncio.StreamWriter

    async def json(self, payload: Any, status: int = 200, **headers: str) -> None:
        await self.text(json.dumps(payload), status, **headers)

    async def text(self, text: str, status: int = 200, **headers: str) -> None:
        body = text.encode()
        lines = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        await self._head(status, lines)
        self.writer.write(body)
        await self.writer.drain()

    async def open(self, status: int = 200, **headers: str) -> None:
        """The head of a chunked event stream."""
        await self._head(status, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **headers})

    async def piece(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def close(self) -> None:
        """The proper end of a chunked body."""
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def events(self, payloads: Iterable[Any], *, done: bool = True) -> None:
        """A whole event stream."""
        await self.open()
        for payload in payloads:
            await self.piece(event(payload))
        if done:
            await self.piece(b"data: [DONE]\n\n")
        await self.close()

    async def _head(self, status: int, headers: dict[str, str]) -> None:
        lines = [
            f"HTTP/1.1 {status} {REASONS.get(status, 'X')}",
            *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
        ]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()


Handler = Callable[[Asked, Reply], Awaitable[None]]


def event(payload: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


@dataclass
class Service:
    """A running service; `handler` may be changed at any time."""

    url: str
    handler: Handler
    asked: list[Asked] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """A client closed its connection."""
    connections: int = 0


@asynccontextmanager
async def service(handler: Handler) -> AsyncIterator[Service]:
    """Run a service on a free port of 127.0.0.1."""

    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.connections += 1
        if task := asyncio.current_task():
            tasks.add(task)
        try:
            while asked := await _read(reader):
                running.asked.append(asked)
                answer = asyncio.ensure_future(running.handler(asked, Reply(writer)))
                gone = asyncio.ensure_future(reader.read(1))  # our clients never pipeline: a byte or an end is the end
                await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    answer.cancel()
                    running.hung_up.set()
                    return
                if gone.done():
                    return
                gone.cancel()
                await asyncio.wait({gone})
                answer.result()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            running.hung_up.set()
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    running = Service(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", handler)
    try:
        yield running
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def build(type_id: str, provider_id: str = "", **config: Any) -> OpenAICompatible:
    """The provider of a type, as the resolver builds it."""
    spec = _registry.find("inference", type_id)
    provider: OpenAICompatible = spec.factory(
        config=spec.config.model_validate(config), provider_id=ProviderId(provider_id or type_id.rpartition("::")[2])
    )
    return provider
