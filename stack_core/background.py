"""Work that goes on after the call that began it: batches, files that are indexed, jobs."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from stack_core import context

log = logging.getLogger(__name__)


class Background:
    """Tasks by a key, ended with whoever owns them.

    Each begins a trace of its own, and runs for the caller that is given: after a restart nobody else knows whose
    work it was.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def start(
        self,
        key: str,
        work: Coroutine[Any, Any, Any],
        *,
        caller: context.User | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin; work of the same key that still runs is left alone, and the new one is dropped."""
        if self.running(key):
            work.close()
            return
        scope = contextvars.Context()
        scope.run(context.user.set, caller)
        scope.run(context.provider_data.set, data or {})
        task = asyncio.get_running_loop().create_task(work, name=key, context=scope)
        self._tasks[key] = task
        task.add_done_callback(self._ended)

    def running(self, key: str) -> bool:
        """Whether work of this key goes on."""
        return key in self._tasks

    async def cancel(self, key: str) -> bool:
        """Stop the work of a key and wait for its end; says whether there was any."""
        task = self._tasks.get(key)
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def join(self, key: str) -> None:
        """Wait for the end of the work of a key."""
        if task := self._tasks.get(key):
            await asyncio.wait([task])

    async def close(self) -> None:
        """Stop everything and wait for its end."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if self._tasks.get(task.get_name()) is task:
            del self._tasks[task.get_name()]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work %s failed: %s", task.get_name(), error, exc_info=error)
