"""Ten thousand streamed calls leave neither memory nor sockets behind, a killed kernel no process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client import KernelManager

from benchmarks.calls import MESSAGES, run_file
from benchmarks.upstream import service
from stack_core import Stack

CALLS, AT_ONCE, CHUNKS = 10_000, 16, 4
WARM = 2_000
"""Calls after which every pool, cache and ring is full."""
ALLOWED = 12e6
"""Bytes: 1.5 kB a call would show, while the allocator's own wandering does not."""


async def ask(stack: Stack, calls: int) -> int:
    """Stream `calls` answers, several at once; every fifth is left before its end. Gives the chunks that came."""

    async def some(count: int) -> int:
        seen = 0
        for number in range(count):
            stream = await stack.inference.chat_completion(
                model="vllm/m", messages=MESSAGES, stream=True, max_tokens=CHUNKS
            )
            async for chunk in stream:
                seen += bool(chunk.choices and chunk.choices[0].delta.content)
                if number % 5 == 4:
                    await stream.aclose()
                    break
        return seen

    return sum(await asyncio.gather(*(some(calls // AT_ONCE) for _ in range(AT_ONCE))))


@pytest.mark.slow
async def test_ten_thousand_streams_leak_nothing(tmp_path: Path) -> None:
    process = psutil.Process()
    with service() as url:
        sockets = len(process.net_connections("all"))
        async with Stack.open(run_file(url, tmp_path)) as stack:
            await ask(stack, WARM)
            gc.collect()
            memory, files = process.memory_info().rss, process.num_fds()
            chunks = await ask(stack, CALLS)
            gc.collect()
            assert chunks == CALLS * (4 * CHUNKS + 1) // 5
            assert process.num_fds() <= files + AT_ONCE
            assert process.memory_info().rss - memory < ALLOWED
            assert len(asyncio.all_tasks()) < 10
        await asyncio.sleep(0)
        assert len(process.net_connections("all")) == sockets


@pytest.fixture
def kernel() -> Iterator[KernelManager]:
    """A running IPython kernel."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(stderr=subprocess.DEVNULL)
    yield manager
    if manager.is_alive():
        manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


@pytest.mark.slow
def test_a_killed_kernel_leaves_no_process(kernel: KernelManager) -> None:
    client = kernel.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    code = '%load_ext llama_magics\n%stack ask "Hello!"'
    reply = client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
    client.stop_channels()
    assert reply["content"]["status"] == "ok", reply["content"].get("evalue")
    process = psutil.Process(kernel.provisioner.pid)
    children = process.children(recursive=True)
    assert children, "the engine runs in a child process"
    process.kill()
    _, alive = psutil.wait_procs(children, timeout=2)
    assert alive == []
