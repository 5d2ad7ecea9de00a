"""How figures are taken: CPU rather than wall time, contenders in turn, medians of several rounds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Figure:
    """One line of the table: ours beside the floor, and what the project promises."""

    what: str
    unit: str
    ours: float
    floor: float | None
    floor_name: str
    promise: str
    kept: bool

    @property
    def ratio(self) -> float | None:
        """Ours by the floor's."""
        return self.ours / self.floor if self.floor else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "ratio": self.ratio}


async def cpu_each(work: Mapping[str, Work], *, count: int, rounds: int) -> dict[str, float]:
    """Name → median CPU seconds of this process a unit of work; one round runs every contender, so that what else the
    machine does falls on all of them.

    Args:
        work: does `count` units when awaited.
    """
    taken: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, run in work.items():
            before = time.process_time()
            await run()
            if turn:  # the first round warms up
                taken[name].append((time.process_time() - before) / count)
    return {name: statistics.median(values) for name, values in taken.items()}


async def wall_each(work: Mapping[str, Work], *, rounds: int) -> dict[str, float]:
    """Name → median wall seconds of a round."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, run in work.items():
            before = time.perf_counter()
            await run()
            if turn:
                taken[name].append(time.perf_counter() - before)
    return {name: statistics.median(values) for name, values in taken.items()}


def fresh(code: Mapping[str, str], *, rounds: int, stores: Path) -> dict[str, list[float]]:
    """Name → medians of the numbers that a fresh interpreter prints as its last line when it runs the code.

    Args:
        stores: the folder of the stores that the code opens.
    """
    env = {**os.environ, "SQLITE_STORE_DIR": str(stores)}
    taken: dict[str, list[list[float]]] = {name: [] for name in code}
    for turn in range(rounds + 1):
        for name, text in code.items():
            command = [sys.executable, "-c", text]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
            if done.returncode:
                raise RuntimeError(f"{name} failed:\n{done.stderr}")
            if turn:
                taken[name].append([float(word) for word in done.stdout.split("\n")[-2].split()])
    return {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in taken.items()}
