"""The one background event loop, and how a notebook's thread waits for work on it.

The magics are synchronous: the main thread blocks here while the work runs on the loop's own thread, and receives what
the work emits through a queue. An interrupt cancels the work, waits for its clean-up and keeps what had come.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Emit = Callable[[Any], None]
Work = Callable[[Emit], Coroutine[Any, Any, T]]
GRACE = 3.0
"""Seconds that cancelled work gets for its clean-up."""


class _Done:
    """The last thing in the queue of a piece of work."""


class Loop:
    """An asyncio loop on a daemon thread of its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llama-magics", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once stopped, and in a forked child, which inherits the object and not the thread."""
        return self.pid == os.getpid() and self._thread.is_alive()

    def run(self, work: Work[T], receive: Emit | None = None) -> T:
        """Do `work` on the loop and wait; each item it emits is given to `receive` on the calling thread.

        Raises:
            KeyboardInterrupt: the caller was interrupted; the work is cancelled, and what it had emitted is delivered.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the notebook's session is used from inside its own loop; await the stack's APIs there")
        items: SimpleQueue[Any] = SimpleQueue()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work(items.put)))
            tasks[0].add_done_callback(lambda task: _ended(task, items))

        self._loop.call_soon_threadsafe(begin)
        try:
            while (item := items.get()) is not _Done:
                if receive is not None:
                    receive(item)
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())  # noqa: PLW0108 - `begin` fills the list before
            _drain(items, receive)
            raise
        return tasks[0].result()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Begin `work` as a task of its own; to be called from the loop's thread."""
        return self._loop.create_task(work)

    def stop(self) -> None:
        """End the thread; whatever still runs is cancelled first."""
        if not self.alive:
            return
        self.run(_cancel_others)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE)
        if not self._thread.is_alive():
            self._loop.close()


def _ended(task: asyncio.Task[Any], items: SimpleQueue[Any]) -> None:
    if not task.cancelled():
        task.exception()  # marks it as seen: nobody asks for the error of work that was given up
    items.put(_Done)


def _drain(items: SimpleQueue[Any], receive: Emit | None) -> None:
    """Deliver what cancelled work had emitted, until it has ended or its time for cleaning up is over."""
    deadline = time.monotonic() + GRACE
    while (left := deadline - time.monotonic()) > 0:
        try:
            item = items.get(timeout=left)
        except Empty:
            return
        if item is _Done:
            return
        if receive is not None:
            receive(item)


async def _cancel_others(_: Emit) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=GRACE)
