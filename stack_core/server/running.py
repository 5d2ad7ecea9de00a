"""Which servers run here: each notes itself in a file that it keeps locked for as long as it lives.

The lock tells a server that runs from one that was killed, whatever became of its process number.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from stack_core.distributions import home
from stack_core.errors import AccessDenied, Conflict, Unsupported

if sys.platform != "win32":
    import fcntl

PATIENCE = 15.0
"""Seconds that a server may take to finish what is under way before it is ended."""


@dataclass(frozen=True)
class Running:
    """A server of this user."""

    name: str
    url: str
    port: int
    pid: int


def _folder() -> Path:
    return home().parent / "servers"


@contextmanager
def noted(name: str, url: str, port: int) -> Iterator[None]:
    """While inside, this process is known to serve. A folder that cannot be written is no reason not to serve."""
    try:
        _folder().mkdir(parents=True, exist_ok=True)
        path = _folder() / f"{os.getpid()}-{port}.json"
        file = path.open("w", encoding="utf-8")
    except OSError:
        yield
        return
    with file:
        _lock(file)
        file.write(json.dumps(asdict(Running(name, url, port, os.getpid()))))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def servers() -> list[Running]:
    """Those that run, by port; what killed ones left behind is cleared away."""
    paths = sorted(_folder().glob("*.json")) if _folder().is_dir() else ()
    found = [server for path in paths if (server := _read(path)) is not None]
    return sorted(found, key=lambda server: server.port)


def _read(path: Path) -> Running | None:
    """The server that keeps this note; None where there is none, or the note is another user's or none of ours."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            if not _lock(file):
                return Running(**json.load(file))
            path.unlink(missing_ok=True)
    except (OSError, ValueError, TypeError):
        return None
    return None


def stop(server: Running) -> None:
    """End a server as its own signal would, and wait.

    Raises:
        AccessDenied: it is another user's.
        Conflict: it does not end.
        Unsupported: this system has no such signals.
    """
    if sys.platform == "win32":
        raise Unsupported("servers cannot be stopped from here on this system", "press Ctrl-C where it runs")
    try:
        os.kill(server.pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it ended since it was looked for
    except PermissionError:
        raise AccessDenied(f"{server.name} at {server.url} is another user's", "let that user stop it") from None
    deadline = time.monotonic() + PATIENCE
    while server in servers():
        if time.monotonic() > deadline:
            raise Conflict(f"{server.name} at {server.url} does not end", f"kill -9 {server.pid}")
        time.sleep(0.05)


def _lock(file: IO[str]) -> bool:
    """Take the file's lock; False where another process has it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
