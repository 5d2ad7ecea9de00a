"""Stored chat completions: 32 callers at once, and a `kill -9` in the middle. What came must be in the store."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.calls import AT_ONCE, run_file
from benchmarks.measure import Figure
from benchmarks.serving import Caller, Server, running
from stack_core import Stack

ANSWERS = 2_000
"""Answers that have come when the server is killed."""


def measure(url: str, stores: Path) -> list[Figure]:
    """Two figures: answers a second that are stored, and how many of them are lost; beside it, what had come."""
    folder = stores / "stored"
    folder.mkdir()
    file = folder / "bench.yaml"
    file.write_text(json.dumps(run_file(url, folder)))  # JSON is YAML
    with running(["-m", "stack_core", "run", str(file), "--port", "0", "--json"], "vllm/m") as server:
        told, seconds = asyncio.run(_until_killed(server))
    kept = asyncio.run(_kept(run_file(url, folder)))
    lost, rate = len(set(told) - kept) + len(told) - len(set(told)), len(told) / seconds
    return [
        Figure("stored, 32 at once", "answers/s", rate, None, "", "≥ 300", rate >= 300),
        Figure("stored, kill -9", "answers lost", lost, len(told), "answers that had come", "0", lost == 0),
    ]


async def _kept(config: dict[str, Any]) -> set[str]:
    """The ids that a stack which opens the same store finds there."""
    found: set[str] = set()
    async with Stack.open(config) as stack:
        page = await stack.inference.list_chat_completions(limit=100)
        found |= {completion.id for completion in page.data}
        while page.has_more:
            page = await stack.inference.list_chat_completions(limit=100, after=page.last_id)
            found |= {completion.id for completion in page.data}
    return found


async def _until_killed(server: Server) -> tuple[list[str], float]:
    """The ids of all answers that came before the kill, and the seconds that it took."""
    told: list[str] = []

    async def one() -> None:
        async with Caller(server.url, server.model) as caller:
            while True:
                told.append(json.loads(await caller.ask())["id"])
                if len(told) == ANSWERS:
                    server.process.kill()

    before = time.perf_counter()
    ended = await asyncio.gather(*(one() for _ in range(AT_ONCE)), return_exceptions=True)
    for error in ended:
        if not isinstance(error, OSError | EOFError):
            raise RuntimeError("a caller ended otherwise than by the kill") from error
    return told, time.perf_counter() - before
