"""Calls in process: the stack beside the bare openai SDK and bare httpx2, all against the same upstream."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import openai

from benchmarks.measure import Figure, cpu_each, wall_each
from stack_core import Stack
from stack_core.http import AsyncClient, EventParser, body_of, open_client

MESSAGES = [{"role": "user", "content": "Say sixteen words."}]
CALLS, AT_ONCE, STREAM, FIRST = 200, 32, 2000, 60
Ask = Callable[..., Awaitable[Any]]


def run_file(url: str, stores: Path) -> dict[str, Any]:
    """A stack with the upstream as its one provider; completions and spans are stored in `stores`."""
    return {
        "name": "bench",
        "providers": {"inference": [{"vllm": {"url": url, "api_token": "none"}}]},
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_sqlite", "db_path": str(stores / "kv.db")},
                "sql_default": {"type": "sql_sqlite", "db_path": str(stores / "sql.db")},
            },
            "stores": {
                "metadata": {"namespace": "registry", "backend": "kv_default"},
                "inference": {"table_name": "inference_store", "backend": "sql_default"},
            },
        },
    }


class Contenders:
    """The three ways to make the same call: `whole[name](…)` and `pieces[name](…)` (an async iterator)."""

    def __init__(self, stack: Stack, sdk: openai.AsyncOpenAI, http: AsyncClient) -> None:
        self._stack, self._sdk, self._http = stack, sdk, http
        self.asked = 0
        """How many completions the stack was asked for."""
        self.whole: dict[str, Ask] = {"stack": self._ours, "openai": self._openai, "httpx2": self._httpx}
        self.pieces: dict[str, Callable[[int], AsyncIterator[Any]]] = {
            "stack": self._our_pieces,
            "openai": self._openai_pieces,
            "httpx2": self._httpx_pieces,
        }

    async def stored(self) -> int:
        """How many completions the stack's store has."""
        count, after = 0, None
        while True:
            page = await self._stack.inference.list_chat_completions(limit=1000, after=after)
            count, after = count + len(page.data), page.last_id
            if not page.has_more:
                return count

    async def _ours(self) -> Any:
        self.asked += 1
        return await self._stack.inference.chat_completion(model="vllm/m", messages=MESSAGES)

    async def _openai(self) -> Any:
        return await self._sdk.chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]  # plain dicts

    async def _httpx(self) -> Any:
        return (await self._http.post("/chat/completions", json={"model": "m", "messages": MESSAGES})).json()

    async def _our_pieces(self, tokens: int) -> AsyncIterator[Any]:
        self.asked += 1
        call = self._stack.inference.chat_completion
        async for chunk in await call(model="vllm/m", messages=MESSAGES, stream=True, max_tokens=tokens):
            yield chunk

    async def _openai_pieces(self, tokens: int) -> AsyncIterator[Any]:
        body: Any = {"model": "m", "messages": MESSAGES, "max_tokens": tokens}
        async for chunk in await self._sdk.chat.completions.create(**body, stream=True):
            yield chunk

    async def _httpx_pieces(self, tokens: int) -> AsyncIterator[Any]:
        body = {"model": "m", "messages": MESSAGES, "max_tokens": tokens, "stream": True}
        events = EventParser()
        async with self._http.stream("POST", "/chat/completions", json=body) as response:
            async for piece in body_of(response):
                for _, data in events.feed(piece):
                    if data != b"[DONE]":
                        yield json.loads(data)


@asynccontextmanager
async def contenders(url: str, stores: Path) -> AsyncIterator[Contenders]:
    """All three, open."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(Stack.open(run_file(url, stores)))
        sdk = await exits.enter_async_context(openai.AsyncOpenAI(base_url=url, api_key="none"))
        http = await exits.enter_async_context(open_client(url, retries=0))
        yield Contenders(stack, sdk, http)


async def measure(url: str, stores: Path) -> list[Figure]:
    """Four figures: CPU of a call, calls at once, CPU of a chunk, time to the first chunk.

    Raises:
        RuntimeError: a completion was not stored.
    """
    async with contenders(url, stores) as found:
        figures = [await _call(found), await _at_once(found), await _chunk(found), await _first(found)]
        if (stored := await found.stored()) != found.asked:
            raise RuntimeError(f"{stored} of {found.asked} completions were stored")
    return figures


async def _call(found: Contenders) -> Figure:
    def in_a_row(ask: Ask) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            for _ in range(CALLS):
                await ask()

        return work

    work = {name: in_a_row(ask) for name, ask in found.whole.items()}
    cpu = {name: 1e3 * value for name, value in (await cpu_each(work, count=CALLS, rounds=9)).items()}
    floor = f"openai SDK (httpx2: {cpu['httpx2']:.2f})"
    kept = cpu["stack"] <= cpu["openai"]
    return Figure("chat in process, stored", "CPU ms a call", cpu["stack"], cpu["openai"], floor, "≤ the SDK", kept)


async def _at_once(found: Contenders) -> Figure:
    count = 640

    def crowd(ask: Ask) -> Callable[[], Awaitable[None]]:
        async def one(turns: int) -> None:
            for _ in range(turns):
                await ask()

        async def work() -> None:
            await asyncio.gather(*(one(count // AT_ONCE) for _ in range(AT_ONCE)))

        return work

    wall = await wall_each({name: crowd(found.whole[name]) for name in ("stack", "openai")}, rounds=5)
    ours, floor = (count / wall[name] for name in ("stack", "openai"))
    return Figure(
        "chat, 32 at once, stored", "calls/s", ours, floor, "openai SDK, not stored", "≥ the SDK", ours >= floor
    )


async def _chunk(found: Contenders) -> Figure:
    def drain(pieces: Callable[[int], AsyncIterator[Any]]) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            async for _ in pieces(STREAM):
                pass

        return work

    work = {name: drain(pieces) for name, pieces in found.pieces.items()}
    cpu = {name: 1e6 * value for name, value in (await cpu_each(work, count=STREAM, rounds=7)).items()}
    floor = f"httpx2 + json (openai SDK: {cpu['openai']:.0f})"
    return Figure("stream in process", "CPU µs a chunk", cpu["stack"], cpu["httpx2"], floor, "≤ 60", cpu["stack"] <= 60)


async def _first(found: Contenders) -> Figure:
    taken: dict[str, list[float]] = {name: [] for name in found.pieces}
    for _ in range(FIRST):
        for name, pieces in found.pieces.items():
            before, stream = time.perf_counter(), pieces(4)
            await anext(stream)
            taken[name].append(time.perf_counter() - before)
            async for _ in stream:
                pass
    wall = {name: 1e3 * statistics.median(values) for name, values in taken.items()}
    kept = wall["stack"] <= wall["httpx2"] + 1
    floor = f"httpx2 (openai SDK: {wall['openai']:.2f})"
    return Figure("first chunk", "ms", wall["stack"], wall["httpx2"], floor, "≤ httpx2 + 1", kept)
