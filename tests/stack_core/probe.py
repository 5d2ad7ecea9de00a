"""A door that answers as a test tells it to and remembers what was called: enough of a stack for the HTTP sides."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from stack_core import context
from stack_core.apis._declare import Route
from stack_core.apis.inference import ChatCompletion, ChatCompletionChunk
from stack_core.config import RunConfig
from stack_core.server.app import create_app
from stack_core.server.listen import Server


def completion(text: str = "hi") -> ChatCompletion:
    """A finished answer."""
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    return ChatCompletion.model_validate({"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice]})


def chunk(text: str) -> ChatCompletionChunk:
    """A piece of one."""
    choice = {"index": 0, "delta": {"content": text}}
    return ChatCompletionChunk.model_validate({"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice]})


class Pieces:
    """A stream of chunks that counts what became of it. `then` is raised after the last; `hold` waits there instead."""

    def __init__(self, *texts: str, then: Exception | None = None, hold: bool = False) -> None:
        self.texts, self.then, self.hold = texts, then, hold
        self.closed = asyncio.Event()
        self.keys: list[dict[str, Any]] = []

    async def __call__(self) -> AsyncIterator[ChatCompletionChunk]:
        """The stream itself."""
        try:
            for text in self.texts:
                self.keys.append(dict(context.provider_data.get()))
                yield chunk(text)
            if self.then is not None:
                raise self.then
            if self.hold:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


class Probe:
    """Answers every call by `answer(route, args)`: a result, an async iterator, or an exception to raise."""

    def __init__(self, answer: Callable[[Route, dict[str, Any]], Any], **config: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.config = RunConfig.model_validate({"image_name": "probe", **config})
        self.loop = asyncio.get_running_loop()

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """The door."""
        self.calls.append((route.id, args))
        result = self.answer(route, args)
        if isinstance(result, Exception):
            raise result
        if asyncio.iscoroutine(result):
            result = await result
        return result


@asynccontextmanager
async def serving(probe: Probe) -> AsyncIterator[str]:
    """Serve it on a free port of this machine; gives the URL."""
    ready = asyncio.Event()
    server = Server(uvicorn.Config(create_app(probe), lifespan="off", log_config=None, timeout_graceful_shutdown=1))
    server.ready = ready.set
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            await task
