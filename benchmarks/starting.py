"""What starting costs: loading the magics, opening a stack, and the size of the base installation."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Figure, fresh

_SHELL = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
{load}
print(time.process_time())
"""
_READY = """
import asyncio, time
began = time.perf_counter()
async def main():
    {work}
    seconds = time.perf_counter() - began
    import psutil
    print(seconds, psutil.Process().memory_info().rss / 1e6)
    {end}
asyncio.run(main())
"""
_OURS = """from stack_core import Stack
    manager = Stack.open("notebook")
    stack = await manager.__aenter__()"""
_END = "await manager.__aexit__(None, None, None)"
_SDK = """import openai
    openai.AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="none")"""


def measure(stores: Path) -> list[Figure]:
    """Three figures of fresh processes: `%load_ext`, seconds until a stack is open, and memory then."""
    load = "shell.run_line_magic('load_ext', 'llama_magics')"
    shells = fresh({"ours": _SHELL.format(load=load), "bare": _SHELL.format(load="")}, rounds=7, stores=stores)
    code = {"ours": _READY.format(work=_OURS, end=_END), "sdk": _READY.format(work=_SDK, end="")}
    ready = fresh(code, rounds=7, stores=stores)
    (ours,), (bare,) = shells["ours"], shells["bare"]
    (seconds, memory), (sdk_seconds, sdk_memory) = ready["ours"], ready["sdk"]
    floor = "import openai"
    return [
        Figure("IPython with %load_ext", "CPU s", ours, bare, "bare IPython", "≤ bare + 0.15", ours <= bare + 0.15),
        Figure("stack ready, imports included", "s", seconds, sdk_seconds, floor, "≤ 0.6", seconds <= 0.6),
        Figure("stack ready, engine apart", "RSS MB", memory, sdk_memory, floor, "≤ 90", memory <= 90),
    ]


def installed() -> list[Figure]:
    """Two figures of a fresh environment with the base installation: MiB and distributions. Takes a minute."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin/python"
        before = _size(Path(folder))
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)]
        subprocess.run(command, check=True)
        size = (_size(Path(folder)) - before) / 2**20
        listed = subprocess.run([str(python), "-m", "pip", "list", "--format=freeze"], capture_output=True, check=True)
    count = len(set(listed.stdout.split()) - {b""}) - 2  # pip and setuptools were there
    return [
        Figure("base installation", "MiB", size, None, "", "≤ 300", size <= 300),
        Figure("base installation", "distributions", count, None, "", "≤ 60", count <= 60),
    ]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
