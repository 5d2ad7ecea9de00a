"""The embedded engine: tokens a second through the stack beside the same model driven directly."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Figure
from stack_core import Stack

TOKENS, ROUNDS = 1000, 15
BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": TOKENS,
    "temperature": 0,
    "ignore_eos": True,
}
MODEL = ROOT / "stack_core/bundled/tutorial.gguf"


class Direct:
    """The model in a child that does nothing but run it: a line with a request in, a line with the seconds out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def seconds(self) -> float:
        """Wall seconds of one completion, taken inside the child."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(BODY) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("seconds "):  # llama.cpp may print lines of its own
                return float(line.split()[1])
        raise RuntimeError("the child ended")


@contextmanager
def direct(settings: dict[str, int]) -> Iterator[Direct]:
    """Start the child; `settings` are those the stack's own engine runs with."""
    command = [sys.executable, "-m", "benchmarks.engine", str(MODEL), json.dumps(settings)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    try:
        yield Direct(process)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


async def measure(stores: Path) -> list[Figure]:
    """One figure: tokens a second, whole answers of 1,000 tokens, contenders in turn."""
    settings = {"n_ctx": 2048, "n_parallel": 1, "n_threads": 1}
    config = {
        "name": "bench-engine",
        "providers": {"inference": [{"llama-cpp": {"model_path": str(MODEL), **settings}}]},
        "storage": {"backends": {"sql": {"type": "sql_sqlite", "db_path": str(stores / "engine.db")}}, "stores": {}},
    }
    taken: dict[str, list[float]] = {"stack": [], "direct": []}
    async with Stack.open(config) as stack:
        model = next(m.id for m in (await stack.models.list_models()).data if m.model_type == "llm")
        with direct(settings) as bare:
            for turn in range(ROUNDS + 1):
                row = {"direct": bare.seconds(), "stack": await _through(stack, model)}
                for name in taken if turn else ():  # the first round warms up
                    taken[name].append(TOKENS / row[name])
    ours, floor = statistics.median(taken["stack"]), statistics.median(taken["direct"])
    return [Figure("embedded engine", "tokens/s", ours, floor, "xllamacpp directly", "≥ 95%", ours >= 0.95 * floor)]


async def _through(stack: Stack, model: str) -> float:
    before = time.perf_counter()
    answer = await stack.inference.chat_completion(model=model, **BODY)
    seconds = time.perf_counter() - before
    if answer.usage.completion_tokens != TOKENS:
        raise RuntimeError(f"{answer.usage.completion_tokens} tokens came, not {TOKENS}")
    return seconds


def _child(path: str, settings: dict[str, int]) -> None:
    import xllamacpp  # type: ignore[import-untyped]  # it has no stubs

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel = settings["n_ctx"], settings["n_parallel"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["n_threads"]
    params.cache_ram_mib, params.verbosity, params.ui = 64, 0, False
    server = xllamacpp.Server(params)
    for line in sys.stdin:
        body = json.loads(line)
        before = time.perf_counter()
        server.handle_chat_completions(body)
        print(f"\nseconds {time.perf_counter() - before}", flush=True)
    os._exit(0)  # destroying the server waits


if __name__ == "__main__":
    _child(sys.argv[1], json.loads(sys.argv[2]))
