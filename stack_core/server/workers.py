"""Several processes behind one port: each opens its own stack and takes connections from the same socket.

The supervisor starts them, starts one anew that dies, hands on the signal that ends the server, and waits for all.
A worker that loses its supervisor ends by itself: the pipe between them closes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stack_core import context
from stack_core.config import RunConfig, Server, load_config
from stack_core.errors import ConfigError, StackError
from stack_core.server.metrics import Metrics
from stack_core.stack import Unavailable

_log = logging.getLogger(__name__)

SHARED = ("kv_postgres", "sql_postgres", "kv_redis", "kv_mongodb")
"""Stores that several processes may write at once."""

SOON = 5.0
"""A worker that lives shorter than so many seconds is started anew only after a wait, which doubles."""
LONGEST_WAIT = 30.0


def check_shared(config: RunConfig) -> None:
    """Refuse workers that would not see what each other keeps.

    Raises:
        ConfigError: a store is a file or a memory of one process, or none is named.
    """
    alone = {name: str(row.get("type")) for name, row in config.storage.backends.items()}
    alone = {name: kind for name, kind in alone.items() if kind not in SHARED}
    hint = f"use {', '.join(SHARED)}, or one worker"
    for name, kind in alone.items():
        raise ConfigError(
            f"{config.server.workers} workers cannot share a store of type {kind}",
            hint,
            where=f"storage.backends.{name}",
        )
    if not config.storage.backends:
        raise ConfigError("workers need stores that all of them can reach", hint, where="storage.backends")


class Supervisor:
    """Starts the workers of a server and keeps them running.

    Args:
        listener: the socket that all of them take connections from.
        announce: told when all workers answer.
    """

    def __init__(
        self,
        source: str,
        server: Server,
        listener: socket.socket,
        announce: Callable[[str, list[Unavailable], str], None],
    ) -> None:
        self._source, self._server, self._listener, self._announce = source, server, listener, announce
        self._processes: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._waiting = server.workers

    def run(self) -> None:
        """Until SIGINT or SIGTERM, and the last worker has ended.

        Raises:
            StackError: a worker did not start; its own message stands above.
        """
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        self._listener.listen(2048)
        reading, writing = os.pipe()
        try:
            with tempfile.TemporaryDirectory(prefix="stack-metrics-") as folder:
                command = self._command(reading, folder)
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._server.workers):
                        workers.create_task(self._keep(command, reading))
        except* StackError as failed:
            raise failed.exceptions[0] from None
        finally:
            os.close(reading)
            os.close(writing)

    def _command(self, pipe: int, folder: str) -> list[str]:
        settings = {
            "source": self._source,
            "listener": self._listener.fileno(),
            "pipe": pipe,
            "folder": folder,
            "options": {"workers": self._server.workers, "log_format": self._server.log_format},
        }
        return [sys.executable, "-m", "stack_core.server.workers", json.dumps(settings)]

    def _stop(self) -> None:
        """End all workers gracefully; the second time at once, as each of them does."""
        self._stopping.set()
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)

    async def _keep(self, command: list[str], pipe: int) -> None:
        """One worker after another, until the server ends."""
        wait, first = 0.5, True
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._one(command, pipe, first=first)
            if self._stopping.is_set():
                return
            if first and self._waiting:
                self._stop()
                raise StackError("a worker did not start", "what it said stands above")
            first = False
            wait = min(wait * 2, LONGEST_WAIT) if time.monotonic() - began < SOON else 0.5
            _log.warning("a worker ended with status %s; another starts in %s s", status, wait)
            try:
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _one(self, command: list[str], pipe: int, *, first: bool) -> int:
        """Run a worker to its end. In a session of its own: Ctrl-C in the terminal must not reach it twice."""
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, pass_fds=(self._listener.fileno(), pipe), start_new_session=True
        )
        self._processes.add(process)
        if self._stopping.is_set():
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        try:
            if (line := await process.stdout.readline()) and first:
                self._ready(json.loads(line))
            await process.stdout.read()
            return await process.wait()
        finally:
            self._processes.discard(process)

    def _ready(self, told: dict[str, Any]) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._announce(told["name"], [Unavailable(*row) for row in told["unavailable"]], told["url"])


def main(text: str) -> int:
    """Be one worker; gives the exit status."""
    from stack_core.server.logs import log_to_stderr
    from stack_core.server.run import serve, with_options

    settings = json.loads(text)
    try:
        config = with_options(load_config(settings["source"]), settings["options"])
        log_to_stderr(config.secrets(), config.server.log_format)
        with socket.socket(fileno=settings["listener"]) as listener:
            ends = _Ends(settings["pipe"])
            context.shared.set(True)
            serve(settings["source"], config, listener, _tell, stay=ends.on, metrics=Metrics(Path(settings["folder"])))
    except StackError as error:
        sys.stderr.write(f"{error.message}\n" + (f"  hint: {error.hint}\n" if error.hint else ""))
        return 1
    return 0


class _Ends:
    """Ends the worker when its supervisor has gone. Nothing is ever written: the end of the pipe is the message."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def on(self, end: Callable[[], object]) -> None:
        """From now on, watch."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self._pipe)
            end()

        loop.add_reader(self._pipe, gone)


def _tell(name: str, unavailable: list[Unavailable], url: str) -> None:
    sys.stdout.write(json.dumps({"name": name, "unavailable": unavailable, "url": url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
