"""Responses in process: what a stored response costs beside the chat call in it, and how long its first token takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.calls import MESSAGES, run_file
from benchmarks.measure import Figure
from stack_core import Stack

CALLS, ROUNDS = 60, 5
CREATE_MS, FIRST_MS = 6.0, 3.0
"""What the project promises over the model's own time."""
Timed = Callable[[Any], Awaitable[float]]


async def measure(url: str, stores: Path) -> list[Figure]:
    """Milliseconds over a chat call: of a response that is stored, and until the first token of a streamed one."""
    async with Stack.open(run_file(url, stores / "responses")) as stack:
        whole = await _over(stack, _response, _chat)
        first = await _over(stack, _first_of_response, _first_of_chat)
    return [
        _figure("a stored response, over its chat", whole, CREATE_MS),
        _figure("first token of a response", first, FIRST_MS),
    ]


def _figure(what: str, taken: tuple[float, float], most: float) -> Figure:
    ours, floor = taken
    over = ours - floor
    return Figure(what, "ms over the model", over, floor, "ms of the chat call", f"≤ {most:g} ms", over <= most)


async def _over(stack: Any, ours: Timed, floor: Timed) -> tuple[float, float]:
    """(median milliseconds of ours, of the chat call), taken in turn."""
    taken: dict[Timed, list[float]] = {ours: [], floor: []}
    for turn in range(ROUNDS + 1):
        for _ in range(CALLS):
            for work, times in taken.items():
                seconds = await work(stack)
                if turn:  # the first round warms up
                    times.append(seconds)
    return statistics.median(taken[ours]) * 1000, statistics.median(taken[floor]) * 1000


async def _response(stack: Any) -> float:
    before = time.perf_counter()
    await stack.responses.create_response(model="vllm/m", input="Say sixteen words.", max_output_tokens=16)
    return time.perf_counter() - before


async def _chat(stack: Any) -> float:
    before = time.perf_counter()
    chunks = await stack.inference.chat_completion(
        model="vllm/m", messages=MESSAGES, stream=True, store=False, max_tokens=16
    )
    async for _ in chunks:
        pass
    return time.perf_counter() - before


async def _first_of_response(stack: Any) -> float:
    before = time.perf_counter()
    events = await stack.responses.create_response(
        model="vllm/m", input="Say sixteen words.", stream=True, max_output_tokens=16
    )
    taken = 0.0
    async for event in events:
        if not taken and event.type == "response.output_text.delta":
            taken = time.perf_counter() - before
    return taken


async def _first_of_chat(stack: Any) -> float:
    before = time.perf_counter()
    chunks = await stack.inference.chat_completion(
        model="vllm/m", messages=MESSAGES, stream=True, store=False, max_tokens=16
    )
    taken = 0.0
    async for chunk in chunks:
        if not taken and chunk.choices and chunk.choices[0].delta.content:
            taken = time.perf_counter() - before
    return taken
