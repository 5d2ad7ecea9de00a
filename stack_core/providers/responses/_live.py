"""The events of a response that is made in the background, for whoever looks on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from stack_core.apis._tool_events import Event


class Live:
    """The events so far. Any number may follow, from any place."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()
        self._over = False

    def add(self, event: Event) -> None:
        """One more."""
        self.events.append(event)
        self._tell()

    def end(self) -> None:
        """There will be no more."""
        self._over = True
        self._tell()

    def _tell(self) -> None:
        """Wake all that wait; who waits from now on waits for the next."""
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self, after: int | None) -> AsyncIterator[Event]:
        """Events whose number is over `after`, as they come."""
        place = 0 if after is None else after + 1
        while True:
            more = self._more
            while place < len(self.events):
                yield self.events[place]
                place += 1
            if self._over:
                return
            await more.wait()
