"""`StackClient`: the APIs without `await`, of a server or of a stack in this process.

client = StackClient("http://localhost:8321")
client = StackClient.open("starter")            # in this process, no server
client.chat.completions.create(model="…", messages=[…])
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from stack_core.apis._content import FileContent
from stack_core.apis._declare import Route
from stack_core.client import AsyncStackClient
from stack_core.errors import InvalidRequest
from stack_core.loop import Loop
from stack_core.names import Names, Page, SyncPage, carry_out


class Blocking:
    """Carries out calls by name on a loop of another thread, and waits for them."""

    def __init__(self, loop: Any, door: Any) -> None:
        self._loop, self._door = loop, door

    def invoke(self, route: Route, args: tuple[Any, ...], kwargs: dict[str, Any], shaped: bool) -> Any:
        """One call; a stream comes as an iterator, whose early end stops the call."""
        found = self.run(carry_out(self._door, route, args, kwargs, shaped=shaped))
        if isinstance(found, Page):
            return SyncPage(found, self.run)
        if isinstance(found, FileContent):
            return SyncContent(found, self)
        return self.items(found) if hasattr(found, "__aiter__") else found

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for what is awaited on the loop.

        Raises:
            InvalidRequest: the client was closed, or this process is a copy of the one that opened it.
        """
        if not self._loop.alive:
            work.close()
            forked = self._loop.pid != os.getpid()
            why = "belongs to the process that this one was forked from" if forked else "is closed"
            raise InvalidRequest(f"the client {why}", "open one anew")

        async def waited(_: Any) -> Any:
            return await work

        return self._loop.run(waited)

    def items(self, stream: Any) -> Iterator[Any]:
        """The items of a stream as they come."""
        end = object()
        try:
            while (item := self.run(_next(stream, end))) is not end:
                yield item
        finally:
            if self._loop.alive:
                self.run(_closed(stream))


class SyncContent:
    """The content of a file, for a caller who does not await; to be read once."""

    def __init__(self, content: FileContent, blocking: Blocking) -> None:
        self._content, self._blocking = content, blocking
        self.filename, self.media_type, self.size = content.filename, content.media_type, content.size

    def read(self) -> bytes:
        """All bytes."""
        found: bytes = self._blocking.run(self._content.read())
        return found

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces."""
        return self._blocking.items(self._content.chunks())


class StackClient:
    """The APIs under the names of Llama Stack's client (`client.vector_stores.files.create`) and under their own
    (`client.vector_stores.attach_file`), each call waiting for its result.

    Args:
        base_url: of a server, such as `http://localhost:8321`.
        options: as `AsyncStackClient` takes them: api_key, provider_data, timeout.
    """

    def __init__(self, base_url: str, **options: Any) -> None:
        client = AsyncStackClient(base_url, **options)
        self._begin(Loop(), client, client.aclose, repr(client).replace("AsyncStackClient", "StackClient"))

    @classmethod
    def open(
        cls, source: str | Path | Mapping[str, Any] = "notebook", env: Mapping[str, str] | None = None
    ) -> StackClient:
        """A stack in this process: a distribution, a run file, YAML text or a mapping, as `Stack.open` takes them.

        Raises:
            ConfigError: with every mistake and its place; nothing is left open.
        """
        from stack_core.stack import Stack

        loop, opening = Loop(), Stack.open(source, env)

        async def enter(_: Any) -> Any:
            return await opening.__aenter__()

        try:
            stack = loop.run(enter)
        except BaseException:
            loop.stop()
            raise
        made = cls.__new__(cls)
        made._begin(
            loop, stack, lambda: opening.__aexit__(None, None, None), f"StackClient.open({stack.config.name!r})"
        )
        return made

    def _begin(self, loop: Loop, door: Any, ending: Any, shown: str) -> None:
        self._shown = shown
        blocking = Blocking(loop, door.call)
        self._names = Names(blocking.invoke)
        # Closed also when nobody has the client, a stream or a page of it any more; at the end of the process it is too
        # late for that.
        self._end = weakref.finalize(blocking, _end, loop, ending)
        self._end.atexit = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._names, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dir(self._names)]

    def close(self) -> None:
        """Close the connections, or the stack."""
        self._end()

    def __enter__(self) -> StackClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._shown


async def _next(stream: Any, end: object) -> Any:
    return await anext(stream, end)


async def _closed(stream: Any) -> None:
    await stream.aclose()


def _end(loop: Loop, ending: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    async def last(_: Any) -> None:
        await ending()

    if loop.alive:
        loop.run(last)
        loop.stop()
