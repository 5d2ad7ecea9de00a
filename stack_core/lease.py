"""Who works on something that several processes could work on: one of them, until it is gone.

A lease is written down with the work it is for, as plain data; who holds it tells now and then that it is still there.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

STALE_SECONDS = 60
"""After this long without a word from its holder, a lease is over."""
_OPEN: set[str] = set()
"""The holders of this process that are open: a container's process may have the number of the one before it."""


class Holder:
    """One that holds leases, such as an open stack's batches."""

    def __init__(self) -> None:
        self.token = uuid4().hex
        self._place = {"host": socket.gethostname(), "pid": os.getpid()}
        _OPEN.add(self.token)

    def lease(self) -> dict[str, Any]:
        """A lease of this holder, seen now (Unix time in seconds)."""
        return {**self._place, "token": self.token, "seen": int(time.time())}

    def taken(self, lease: Mapping[str, Any] | None) -> bool:
        """Whether a lease is held by another holder that is there."""
        if lease is None or lease["token"] == self.token:
            return False
        if lease["host"] == self._place["host"]:
            if lease["pid"] == self._place["pid"]:
                return lease["token"] in _OPEN
            if not _runs(lease["pid"]):
                return False
        return time.time() - float(lease["seen"]) < STALE_SECONDS

    def close(self) -> None:
        """Let go of every lease."""
        _OPEN.discard(self.token)


def _runs(pid: int) -> bool:
    """Whether there is a process of this number, where one can ask: on Windows that would end it."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
