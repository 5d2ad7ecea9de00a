"""A real stack with a real upstream service, served over HTTP: what the SDKs are tested against."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from stack_core import Stack
from tests.stack_core.probe import serving
from tests.upstream import Upstream, upstream

HI: list[Any] = [{"role": "user", "content": "hi"}]
ECHO: list[Any] = [{"role": "user", "content": "echo:hello there"}]
WORDS = "w0 w1 w2 w3 "
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Fact(BaseModel):
    """What the JSON schema test asks for."""

    name: str
    count: int


class Running(NamedTuple):
    """A stack on a loop in a thread of its own, its URL, and the service behind it."""

    stack: Any
    url: str
    service: Upstream


@contextmanager
def running_stack(folder: Path, providers: dict[str, Any] | None = None, **more: Any) -> Iterator[Running]:
    """Its stores are in `folder`; `providers` come beside the upstream service's."""
    with upstream(chunks=4) as service:
        entry = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"url": service.url}}
        storage = {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {"metadata": {"backend": "kv"}, "inference": {"backend": "sql"}},
        }
        given = dict(providers or {})
        given["inference"] = [entry, *given.get("inference", [])]
        config = {"image_name": "sdk", "providers": given, "storage": storage}
        config |= more
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        exits = AsyncExitStack()

        async def start() -> tuple[Any, str]:
            stack = await exits.enter_async_context(Stack.open(config))
            return stack, await exits.enter_async_context(serving(stack))

        try:
            stack, url = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
            yield Running(stack, url, service)
        finally:
            asyncio.run_coroutine_threadsafe(exits.aclose(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
