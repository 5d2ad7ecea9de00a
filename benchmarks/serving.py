"""The server: CPU of its process a request and a streamed chunk, and requests a second, beside the least that a FastAPI
application can do: pass the request on with httpx2 and the answer back."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.calls import AT_ONCE, CALLS, MESSAGES, STREAM, run_file
from benchmarks.measure import ROOT, Figure

ROUNDS = 5
STREAMS = 4
"""Streams of one measurement: the system counts a process's CPU in steps of 10 ms."""


class Caller:
    """A client on a bare socket, so that the load costs little beside the server. One connection, kept open."""

    def __init__(self, url: str, model: str) -> None:
        self._host, self._port = url.removeprefix("http://").split("/")[0].split(":")
        self._model = model

    async def __aenter__(self) -> Caller:
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, tokens: int | None = None) -> bytes:
        """One chat completion, streamed where `tokens` says how many; gives the answer's body."""
        streamed = {} if tokens is None else {"stream": True, "max_tokens": tokens}
        body = json.dumps({"model": self._model, "messages": MESSAGES, **streamed}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        self._writer.write(head + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"the server answered {answer.decode()}")
        if tokens is not None:
            return await self._until_end()
        length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return await self._reader.readexactly(length)

    async def _until_end(self) -> bytes:
        whole = b""
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            whole += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
            if size == 0:
                return whole


@dataclass(frozen=True)
class Server:
    """A server under measurement and the model to ask it for."""

    process: psutil.Process
    url: str
    model: str

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(command: list[str], model: str) -> Iterator[Server]:
    """A server in a process of its own, whose first line of output is its URL, or JSON with the field `url`."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode().strip()
        if not line:
            raise RuntimeError(f"{' '.join(command)} did not start")
        url = json.loads(line)["url"] if line.startswith("{") else line
        yield Server(psutil.Process(process.pid), url, model)
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def measure(url: str, folder: Path) -> list[Figure]:
    """Three figures: CPU of a request, requests a second, CPU of a chunk."""
    file = folder / "bench.yaml"
    file.write_text(json.dumps(run_file(url, folder)))  # JSON is YAML
    with ExitStack() as exits:
        ours = ["-m", "stack_core", "run", str(file), "--port", "0", "--json"]
        servers = {
            "stack": exits.enter_context(running(ours, "vllm/m")),
            "floor": exits.enter_context(running(["-m", "benchmarks.bare_server", url], "m")),
        }
        return asyncio.run(_figures(servers))


async def _figures(servers: dict[str, Server]) -> list[Figure]:
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in servers}
    for turn in range(ROUNDS + 1):
        for name, server in servers.items():
            row = (await _requests(server), await _crowd(server), await _stream(server))
            if turn:  # the first round warms up
                taken[name].append(row)
    cpu, rate, chunk = ({n: statistics.median(row[i] for row in rows) for n, rows in taken.items()} for i in range(3))
    floor = "FastAPI + httpx2"
    return [
        Figure("server", "CPU ms a request", cpu["stack"], cpu["floor"], floor, "≤ 2", cpu["stack"] <= 2),
        Figure("server, 32 at once", "requests/s", rate["stack"], rate["floor"], floor, "≥ 500", rate["stack"] >= 500),
        Figure("server, stream", "CPU µs a chunk", chunk["stack"], chunk["floor"], floor, "≤ 50", chunk["stack"] <= 50),
    ]


async def _requests(server: Server) -> float:
    """CPU milliseconds of the server a request."""
    async with Caller(server.url, server.model) as caller:
        await caller.ask()
        before = server.cpu()
        for _ in range(CALLS):
            await caller.ask()
        return 1e3 * (server.cpu() - before) / CALLS


async def _crowd(server: Server) -> float:
    """Requests a second, 32 at once."""
    turns = 20

    async def one() -> None:
        async with Caller(server.url, server.model) as caller:
            for _ in range(turns):
                await caller.ask()

    before = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return AT_ONCE * turns / (time.perf_counter() - before)


async def _stream(server: Server) -> float:
    """CPU microseconds of the server a chunk."""
    async with Caller(server.url, server.model) as caller:
        before = server.cpu()
        answers = [await caller.ask(STREAM) for _ in range(STREAMS)]
        after = server.cpu()
    came = sum(answer.count(b"word ") for answer in answers)
    if came != STREAM * STREAMS:
        raise RuntimeError(f"{came} of {STREAM * STREAMS} chunks came")
    return 1e6 * (after - before) / came
