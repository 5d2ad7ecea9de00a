"""The making of one response: its events, and what is kept of it whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from stack_core.apis import _response_events as events
from stack_core.apis._response import Response
from stack_core.apis._tool_events import Event
from stack_core.errors import StackError
from stack_core.providers.responses._script import Script
from stack_core.providers.responses._usage import summed
from stack_core.turns.loop import Begun, Loop, Stopped

Keep = Callable[["Making"], Awaitable[None]]
"""Writes down how a response ended, or that it is under way."""


class Making:
    """One run of the loop as a response.

    Args:
        keep: called when it is over, before the last event is given: who has that may go on from the response.
        queued: it waits in the background first, and `keep` is also called when it begins.
    """

    def __init__(self, loop: Loop, script: Script, keep: Keep, *, queued: bool) -> None:
        self._loop, self.script, self._keep, self._queued = loop, script, keep, queued
        self.error: StackError | None = None
        """Why it failed, where it did."""

    @property
    def response(self) -> Response:
        """As it is now."""
        return self.script.response

    async def whole(self) -> Response:
        """The response when it is over.

        Raises:
            StackError: why it failed.
        """
        async with aclosing(self.events()) as steps:
            async for _ in steps:
                pass
        if self.error is not None:
            raise self.error
        return self.response

    async def events(self) -> AsyncGenerator[Any, None]:
        """All events. Where the model cannot be asked at all, no event comes.

        Raises:
            StackError: the model cannot be asked.
        """
        try:
            async with aclosing(self._made()) as made:
                async for event in made:
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            if not self._over():
                self.script.cancelled()
                await self._keep(self)
            raise

    def _over(self) -> bool:
        return self.response.status not in ("queued", "in_progress")

    async def _made(self) -> AsyncGenerator[Event, None]:
        script = self.script
        begun = False
        stopped = Stopped()
        if self._queued:
            yield script.state(events.ResponseCreated)
            yield script.state(events.ResponseQueued)
        try:
            async with aclosing(self._loop.run()) as steps:
                async for step in steps:
                    if isinstance(step, Stopped):
                        stopped = step
                    elif isinstance(step, Begun):
                        if not begun:
                            begun = True
                            async for event in self._begins():
                                yield event
                    else:
                        for event in script.add(step):
                            yield event
        except StackError as error:
            if not begun and not self._queued:
                raise
            self.error = error
            last = list(script.failed(error, **self._spent()))
        else:
            last = list(script.ended(stopped.reason, **self._spent()))
        for event in last[:-1]:
            yield event
        await self._keep(self)
        yield last[-1]

    async def _begins(self) -> AsyncGenerator[Event, None]:
        if not self._queued:
            yield self.script.state(events.ResponseCreated)
        yield self.script.state(events.ResponseInProgress, status="in_progress")
        if self._queued:
            await self._keep(self)

    def _spent(self) -> dict[str, Any]:
        found: dict[str, Any] = {"usage": summed(self._loop.usages)}
        if self._loop.service_tier is not None:
            found["service_tier"] = self._loop.service_tier
        return found
