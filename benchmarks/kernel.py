"""What a running cell costs in a real kernel: an update of a growing answer, and an interrupt."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

from benchmarks.measure import ROOT, Figure

TIMEOUT = 60
_UPDATES = """
import time
from IPython.display import display
from llama_magics.render import stream
stream._GAP = 0.0
text = 'a <b> line & more\\n' * 1700
live = stream.LiveAnswer(get_ipython(), 'm')
live.feed(text)
handle = display({'text/plain': text}, raw=True, display_id=True)
def timed(update):
    found = []
    for _ in range(60):
        began = time.thread_time(); update(); found.append(time.thread_time() - began)
    return sorted(found)[30]
print(timed(lambda: live.feed('word ')), timed(lambda: handle.update({'text/plain': text}, raw=True)))
"""
_ASK = '%stack ask "hi" -p ignore_eos=true -p max_tokens=1900 -p temperature=1'
_SLEEP = "display('begun')\nimport time\ntime.sleep(60)"


def measure(stores: Path) -> list[Figure]:
    """Two figures: kernel milliseconds an update of a 30 kB answer, and milliseconds from an interrupt to the end."""
    with _kernel(stores) as (manager, client):
        ours, floor = (float(word) * 1e3 for word in _printed(client, _UPDATES).split())
        _printed(client, '%load_ext llama_magics\n%stack ask "hi"')
        asked, slept = (
            statistics.median(_interrupted(manager, client, code) for _ in range(7)) for code in (_ASK, _SLEEP)
        )
    bare = "display(…).update of the same text"
    return [
        Figure("update of a 30 kB answer", "CPU ms", ours, floor, bare, "≤ 1", ours <= 1),
        Figure("interrupt of an ask", "ms", asked * 1e3, slept * 1e3, "a cell that sleeps", "≤ 500", asked <= 0.5),
    ]


@contextmanager
def _kernel(stores: Path) -> Iterator[tuple[Any, Any]]:
    env = {**os.environ, "SQLITE_STORE_DIR": str(stores)}
    manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(ROOT))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def _printed(client: Any, code: str) -> str:
    """What a cell prints."""
    lines: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            lines.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=keep, timeout=TIMEOUT)
    if reply["content"]["status"] != "ok":
        raise RuntimeError(f"the cell failed: {reply['content'].get('evalue')}")
    return "".join(lines)


def _interrupted(manager: Any, client: Any, code: str) -> float:
    """Seconds from an interrupt, sent once the cell has shown something, to the cell's end."""
    sent = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=TIMEOUT)
        if message["parent_header"].get("msg_id") == sent and message["msg_type"] in (
            "display_data",
            "update_display_data",
        ):
            break
    began = time.perf_counter()
    manager.interrupt_kernel()
    while True:
        reply = client.get_shell_msg(timeout=TIMEOUT)
        if reply["parent_header"].get("msg_id") == sent:
            return time.perf_counter() - began
