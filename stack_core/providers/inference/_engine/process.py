"""One life of an engine process: start it, know when it has ended and why, end it.

The process lives in a session of its own, so that an interrupt of the kernel does not reach it, and ends with its
stdin: when this process closes it, exits or is killed. What it says on stderr is kept for the error that may follow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from stack_core.errors import ConfigError, MissingPackage, ProviderError, Unsupported

CHILD = Path(__file__).with_name("child.py")
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 104 bytes on macOS, 108 on Linux
KEPT_BYTES, KEPT_LINES = 4096, 6


@dataclass(frozen=True)
class Settings:
    """What to load and how. `n_ctx` is the tokens of one request; there are `n_parallel` such slots.
    `pooling` None leaves it to the file."""

    path: str
    name: str
    n_ctx: int
    n_parallel: int
    n_threads: int
    n_gpu_layers: int = 0
    embedding: bool = False
    pooling: Literal["MEAN", "RANK"] | None = None


class Engine:
    """A running engine process; made by `start`. Callers reach it at `socket` with `key` as the bearer token."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, key: str) -> None:
        self._process, self._folder, self.key = process, folder, key
        self.socket = folder / "engine.sock"
        self._said = b""
        self._listener = asyncio.create_task(self._listen(), name="stack-engine-stderr")

    @classmethod
    async def start(cls, settings: Settings, *, where: str) -> Engine:
        """Start a process and wait until its model answers.

        Raises:
            MissingPackage: xllamacpp is not installed.
            ConfigError: the file cannot be loaded; says what the engine said.
            ProviderError: the process was killed before its model was there.
        """
        if find_spec("xllamacpp") is None:
            raise MissingPackage("xllamacpp", needed_by="inline::llama-cpp")
        if not hasattr(socket, "AF_UNIX"):
            raise Unsupported("inline::llama-cpp needs Unix sockets, which this system does not have")
        folder, key = _folder(), secrets.token_urlsafe(24)
        try:
            process = await _spawn()
        except BaseException:  # also a cancelled call must not leave its folder behind
            folder.rmdir()
            raise
        engine = cls(process, folder, key)
        try:
            await engine._introduce(settings, where)
        except BaseException:  # also a cancelled call must not leave a process behind
            await engine.close(patience=0.2)  # one that loads does not see the end of its stdin
            raise
        return engine

    async def _introduce(self, settings: Settings, where: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = {**asdict(settings), "socket": str(self.socket), "folder": str(self._folder), "key": self.key}
        with contextlib.suppress(ConnectionError):  # it ended before it listened; the reply is then empty
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            await self._process.stdin.drain()
        reply = await self._process.stdout.readline()
        if reply and "ready" in json.loads(reply):
            return
        how = None if reply else await self.ended(patience=5)
        if self._process.returncode in (-signal.SIGKILL, -signal.SIGTERM):
            raise ProviderError(
                f"{how} while it loaded {settings.path}: somebody killed it, or the memory ran out",
                "ask again: the next call starts it anew",
            )
        said = json.loads(reply)["error"] if reply else how or "it does not answer"
        await self._listener  # the reason stands on stderr
        raise ConfigError(
            f"the engine cannot load {settings.path}: {said}{self._last_words()}",
            "fetch the file again if it may be damaged, or name another: this engine may not know its architecture",
            where=where,
        )

    async def ended(self, patience: float = 0.0) -> str | None:
        """How the process ended, with its last words; None when it still runs after `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._process.wait()), patience)
        code = self._process.returncode
        if code is None:
            return None
        return f"the engine process ended with {_cause(code)}{self._last_words()}"

    @property
    def alive(self) -> bool:
        """Whether the process runs: asked of the system, because the event loop learns of an end later."""
        if self._process.returncode is not None or not hasattr(os, "waitid"):
            return self._process.returncode is None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def close(self, patience: float = 2.0) -> None:
        """End the process and remove its socket."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._process.wait()), patience)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._listener
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(KEPT_BYTES):
            self._said = (self._said + piece)[-KEPT_BYTES:]

    def _last_words(self) -> str:
        lines = self._said.decode(errors="replace").splitlines()
        lines = [line for line in lines if line.strip() and "send_error:" not in line]  # its callers were told
        return "".join(f"\n  {line}" for line in lines[-KEPT_LINES:])


async def _spawn() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # keep this folder off the child's import path
        str(CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def _folder() -> Path:
    """A fresh folder that only this user may enter, short enough for a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="stack-engine-"))
    if len(bytes(folder)) + len("/engine.sock") > LONGEST_SOCKET_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="stack-engine-", dir="/tmp"))  # private all the same
    return folder


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
