"""A real kernel: outputs as a front end gets them, interrupts, and what is left when it is killed."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.llama_magics.conftest import stack_cell
from tests.upstream import Upstream

pytestmark = pytest.mark.slow
TIMEOUT = 60.0
Bundle = dict[str, Any]


@dataclass
class Ran:
    """What a cell sent: outputs in order as bundles (updates applied), the text it printed, its error."""

    displays: dict[str, Bundle] = field(default_factory=dict)
    updates: int = 0
    results: list[Bundle] = field(default_factory=list)
    printed: str = ""
    error: dict[str, Any] | None = None

    @property
    def last(self) -> Bundle:
        """The last display."""
        return list(self.displays.values())[-1]


@dataclass
class Kernel:
    """A kernel and its client."""

    manager: KernelManager
    client: BlockingKernelClient

    def begin(self, source: str) -> str:
        """Send a cell."""
        sent: str = self.client.execute(source, allow_stdin=False)
        return sent

    def run(self, source: str) -> Ran:
        """Run a cell to its end."""
        return self.finish(self.begin(source))

    def finish(self, sent: str) -> Ran:
        """What the cell gave, once the kernel is idle again."""
        ran = Ran()
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return ran
            _take(ran, kind, content)

    def wait_for_update(self, sent: str) -> None:
        """Wait until a cell's display has been updated."""
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") == sent and message["msg_type"] == "update_display_data":
                return


def _take(ran: Ran, kind: str, content: dict[str, Any]) -> None:
    if kind in ("display_data", "update_display_data"):
        name = content.get("transient", {}).get("display_id") or f"display {len(ran.displays)}"
        ran.updates += kind == "update_display_data"
        ran.displays[name] = content["data"]
    elif kind == "execute_result":
        ran.results.append(content["data"])
    elif kind == "stream":
        ran.printed += content["text"]
    elif kind == "error":
        ran.error = content


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=TIMEOUT)
        one = Kernel(manager, client)
        assert one.run("%load_ext llama_magics") == Ran()
        yield one
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def test_a_session(kernel: Kernel, service: Upstream) -> None:
    declared = kernel.run(stack_cell(service.url))
    assert declared.error is None
    assert declared.last["application/vnd.llama-stack.declared.v1+json"]["name"] == "lab"
    assert declared.results == []
    asked = kernel.run('%stack ask "hi" -o x -p upstream="{delay: 0.05}"')
    assert asked.error is None
    assert asked.updates >= 2
    assert len(asked.displays) == 1
    assert {"text/plain", "text/html", "text/markdown"} <= set(asked.last)
    assert "w0 w1 w2 w3" in asked.last["text/plain"]
    assert asked.results == []
    assert kernel.run("print(x.text, x.usage.output_tokens)").printed == "w0 w1 w2 w3  4\n"
    assert kernel.run("print(_oh and 'kept')").printed == "kept\n"
    assert len(kernel.run("x").results) == 1
    assert kernel.run("%%stack ask -q -o y\nhi") == Ran()
    assert kernel.run('%stack ask "hi";') == Ran()
    both = kernel.run("%%stack ask fast,smart\nhi")
    assert "comparison" in " ".join(both.last)
    assert kernel.run("r = %stack ask -c trip 'one' -q\nprint(r.chat)").printed == "trip\n"


def test_errors_raise_with_a_note(kernel: Kernel) -> None:
    ran = kernel.run("%stack askk")
    assert ran.error is not None
    assert ran.error["ename"] == "InvalidRequest"
    assert len(ran.error["traceback"]) == 2
    assert "did you mean ask" in ran.error["traceback"][1]
    assert "did you mean ask" in ran.last["text/html"]
    after = kernel.run("print('still here')")
    assert after.printed == "still here\n"


def test_an_interrupt_stops_the_answer(kernel: Kernel, service: Upstream) -> None:
    kernel.run(stack_cell(service.url))
    service.reset()
    sent = kernel.begin('%stack ask "hi" -o part -p upstream="{chunks: 10000, delay: 0.02}"')
    kernel.wait_for_update(sent)
    started = time.monotonic()
    kernel.manager.interrupt_kernel()
    ran = kernel.finish(sent)
    assert time.monotonic() - started < 20, "the whole answer takes more than three minutes"
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert len(ran.error["traceback"]) == 1
    assert "stopped by you" in ran.last["text/plain"]
    assert kernel.run("print(part.state, part.text.startswith('w0'))").printed == "cancelled True\n"
    assert [asked["state"] for asked in service.requests() if asked["path"] == "/chat/completions"] == ["gone"]


def test_final_outputs_only(kernel: Kernel, service: Upstream) -> None:
    kernel.run(stack_cell(service.url))
    kernel.run("import os\nos.environ['LLAMA_MAGICS_LIVE'] = '0'")
    ran = kernel.run('%stack ask "hi"')
    assert (ran.updates, len(ran.displays)) == (0, 1)
    kernel.run("del os.environ['LLAMA_MAGICS_LIVE']\n%config StackMagics.live = False")
    ran = kernel.run('%stack ask "hi"')
    assert (ran.updates, len(ran.displays)) == (0, 1)
    assert "w0 w1" in ran.last["text/plain"]


def test_top_level_await_and_twins(kernel: Kernel, service: Upstream) -> None:
    kernel.run(stack_cell(service.url))
    source = (
        "import asyncio\nawait asyncio.sleep(0)\nx = get_ipython().run_line_magic('stack', 'ask hi -q')\nprint(x.text)"
    )
    assert kernel.run(source).printed == "w0 w1 w2 w3 \n"
    assert kernel.run("from llama_magics import stack\nprint(stack.ask('hi').text)").printed == "w0 w1 w2 w3 \n"
    assert len(kernel.run("stack.ask('hi')").results) == 1


def test_a_key_cannot_be_asked_for_without_a_front_end(kernel: Kernel) -> None:
    ran = kernel.run("%stack key openai")
    assert ran.error is not None
    assert ".env" in " ".join(ran.error["traceback"])


def _children(kernel: Kernel) -> list[psutil.Process]:
    pid = kernel.manager.provisioner.pid  # type: ignore[union-attr]  # a local kernel has one
    return psutil.Process(pid).children(recursive=True)


def _gone(processes: list[psutil.Process], seconds: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not alive


def test_the_first_question_opens_the_bundled_model(kernel: Kernel) -> None:
    ran = kernel.run('%stack ask "hi" -o x')
    assert ran.error is None, ran.error
    assert "tutorial" in ran.last["text/plain"]
    assert kernel.run("print(bool(x.text), x.tutorial, x.cost)").printed == "True True 0.0\n"
    children = _children(kernel)
    assert children
    kernel.client.shutdown()
    assert _gone(children, 5)


def test_a_killed_kernel_leaves_nothing(kernel: Kernel) -> None:
    assert kernel.run('%stack ask "hi"').error is None
    children = _children(kernel)
    assert children
    kernel.manager.signal_kernel(9)
    assert _gone(children, 2)
    with pytest.raises(queue.Empty):
        kernel.client.get_iopub_msg(timeout=0.2)
