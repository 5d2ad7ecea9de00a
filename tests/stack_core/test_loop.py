"""The background loop: waiting, streaming, interrupting."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from stack_core.loop import Emit, Loop

mark: ContextVar[str] = ContextVar("mark", default="")


@pytest.fixture
def loop() -> Iterator[Loop]:
    one = Loop()
    yield one
    one.stop()
    assert not one.alive


def test_results_and_errors_come_back(loop: Loop) -> None:
    async def good(_: Emit) -> int:
        await asyncio.sleep(0)
        return 7

    async def bad(_: Emit) -> None:
        raise LookupError("no")

    assert loop.run(good) == 7
    with pytest.raises(LookupError, match="no"):
        loop.run(bad)


def test_items_come_in_order_on_the_callers_thread(loop: Loop) -> None:
    got: list[tuple[int, str]] = []

    async def work(emit: Emit) -> None:
        for number in range(100):
            emit(number)

    loop.run(work, lambda item: got.append((item, threading.current_thread().name)))
    assert got == [(number, threading.current_thread().name) for number in range(100)]


def test_work_sees_the_callers_context(loop: Loop) -> None:
    async def work(_: Emit) -> str:
        return mark.get()

    mark.set("here")
    assert loop.run(work) == "here"


def test_an_interrupt_cancels_waits_for_the_clean_up_and_keeps_what_came(loop: Loop) -> None:
    got: list[Any] = []
    begun = threading.Event()

    async def work(emit: Emit) -> None:
        emit("first")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            emit("cleaned up")

    def receive(item: Any) -> None:
        got.append(item)
        if item == "first":
            begun.set()
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        loop.run(work, receive)
    assert got == ["first", "cleaned up"]
    assert time.monotonic() - started < 30, "the work itself takes a minute"


def test_an_interrupt_before_the_work_began(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __init__(self) -> None:
            self.items: list[Any] = []
            self.times = 0
            self.ended = threading.Event()

        def put(self, item: Any) -> None:
            self.items.append(item)
            self.ended.set()

        def get(self, timeout: float | None = None) -> Any:
            self.times += 1
            if self.times == 1:
                raise KeyboardInterrupt
            assert self.ended.wait(timeout)
            return self.items.pop(0)

    async def work(_: Emit) -> None:
        await asyncio.sleep(60)

    started = time.monotonic()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("stack_core.loop.SimpleQueue", Interrupted)
        loop.run(work)
    assert time.monotonic() - started < 30, "the work itself takes a minute"


def test_the_loops_own_thread_is_refused(loop: Loop) -> None:
    async def inner(_: Emit) -> None:
        """Never runs."""

    async def work(_: Emit) -> None:
        loop.run(inner)

    with pytest.raises(RuntimeError, match="own loop"):
        loop.run(work)


def test_a_forked_child_knows_that_the_loop_is_gone(loop: Loop) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if not loop.alive else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.alive


def test_stopping_cancels_what_still_runs() -> None:
    one = Loop()
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def begin(_: Emit) -> None:
        tasks.append(asyncio.get_running_loop().create_task(forever()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    one.run(begin)
    one.stop()
    assert ended.is_set()
