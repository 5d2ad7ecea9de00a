"""Several answers as several requests at once.

The engine gives no more answers a request than it has slots, and counts the tokens of the first one only. Its slots
take up the requests together; what has no slot waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from stack_core.apis._call import close
from stack_core.apis.inference import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    Usage,
)

R = TypeVar("R", ChatCompletionRequest, CompletionRequest)
C = TypeVar("C", ChatCompletionChunk, Completion)
Call = Callable[[], Coroutine[Any, Any, Any]]
"""What asks for one answer."""


def single_requests(request: R) -> list[R]:
    """One request an answer, in the order of the answers: each prompt `n` times, each with a seed of its own."""
    count = request.n or 1
    prompts: Sequence[Any] = [None]
    if isinstance(request, CompletionRequest):
        given = request.prompt
        many = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
        prompts = given if many else [given]
    if count == 1 and len(prompts) == 1:
        return [request]
    out = []
    for index, prompt in enumerate(prompt for prompt in prompts for _ in range(count)):
        changes: dict[str, Any] = {"n": 1}
        if prompt is not None:
            changes["prompt"] = prompt
        if request.seed is not None:
            changes["seed"] = request.seed + index % count
        out.append(request.model_copy(update=changes))
    return out


async def merged(calls: Sequence[Call], *, prompts: int = 1) -> Any:
    """One answer with the choices of all; the usage is the sum, with each of the `prompts` counted once."""
    if len(calls) == 1:
        return await calls[0]()
    tasks = [asyncio.create_task(call()) for call in calls]
    try:
        answers = await asyncio.gather(*tasks)
    except BaseException:  # one failed, or the caller went: the others must not go on
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    choices: list[Any] = []
    for index, answer in enumerate(answers):
        for choice in answer.choices:
            choice.index = index
            choices.append(choice)
    usage = _summed([answer.usage or Usage() for answer in answers], len(answers) // prompts)
    return answers[0].model_copy(update={"choices": choices, "usage": usage})


async def opened(calls: Sequence[Call], *, prompts: int = 1) -> AsyncIterator[Any]:
    """One stream with the chunks of all."""
    if len(calls) == 1:
        stream: AsyncIterator[Any] = await calls[0]()
        return stream
    return Merged(calls, prompts=prompts)


class Merged(AsyncIterator[C]):
    """The chunks of all answers as they come, under one id; the usage comes once, summed, at the end.

    Args:
        calls: what opens each answer's stream.
        prompts: how many different prompts there are.
    """

    def __init__(self, calls: Sequence[Call], *, prompts: int = 1) -> None:
        self._ready: asyncio.Queue[tuple[int, C | None]] = asyncio.Queue()
        self._pumps = [asyncio.create_task(_pump(self._ready, index, call)) for index, call in enumerate(calls)]
        self._open, self._answers = len(self._pumps), len(self._pumps) // prompts
        self._usages: list[Usage] = []
        self._last: C | None = None

    async def __anext__(self) -> C:
        while self._open:
            try:
                index, chunk = await self._ready.get()
            except asyncio.CancelledError:  # who reads went away: as with a single stream, that ends the answer
                await self.aclose()
                raise
            if chunk is None:
                self._open -= 1
                await self._end_of(index)
            elif (mended := self._mended(index, chunk)) is not None:
                return mended
        if self._last is None or not self._usages:
            raise StopAsyncIteration
        total, self._usages = _summed(self._usages, self._answers), []
        return self._last.model_copy(update={"choices": [], "usage": total})

    async def aclose(self) -> None:
        """End every answer."""
        self._open, self._last = 0, None
        pumps, self._pumps = self._pumps, []  # a second cancel would break into their own closing
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _end_of(self, index: int) -> None:
        try:
            await self._pumps[index]
        except BaseException:
            await self.aclose()
            raise

    def _mended(self, index: int, chunk: C) -> C | None:
        first = self._last or chunk
        chunk = self._last = chunk.model_copy(update={"id": first.id, "created": first.created})
        if chunk.usage is not None and not chunk.choices:
            self._usages.append(chunk.usage)
            return None
        for choice in chunk.choices:
            choice.index = index
        return chunk

    def __del__(self) -> None:
        """Nobody reads any more: what was not closed must not hold its slots."""
        for pump in self._pumps:
            loop = pump.get_loop()
            if not pump.done() and not loop.is_closed():
                loop.call_soon_threadsafe(pump.cancel)  # the collector may run in any thread


async def _pump(ready: asyncio.Queue[tuple[int, Any]], index: int, call: Call) -> None:
    """Put the chunks of one answer into the queue, then None; knows nothing of who reads."""
    try:
        stream = await call()
        try:
            async for chunk in stream:
                ready.put_nowait((index, chunk))
        finally:
            await close(stream)
    finally:
        ready.put_nowait((index, None))


def _summed(usages: Sequence[Usage], answers: int) -> Usage:
    """Completion tokens of all; prompt tokens of every `answers`-th, whose prompts differ."""
    prompt = sum(usage.prompt_tokens for usage in usages[:: max(1, answers)])
    completion = sum(usage.completion_tokens for usage in usages)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
