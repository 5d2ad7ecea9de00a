"""What `/metrics` tells Prometheus: requests, their times, what runs now, tokens by model and pieces of streams.

Text format 0.0.4. Several worker processes each write their numbers into one folder, and whichever is asked adds up.
"""

from __future__ import annotations

import asyncio
import json
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from stack_core.apis._bind import Door
from stack_core.apis._call import close
from stack_core.apis._declare import Route

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper ends of the histogram, in seconds."""

EVERY = 1.0
"""Seconds after which a worker's numbers are known to the others."""

Labels = tuple[str, ...]
_HELP = {
    "stack_requests_total": ("counter", "Requests answered.", ("route", "method", "status")),
    "stack_requests_in_flight": ("gauge", "Requests that are being answered.", ()),
    "stack_tokens_total": ("counter", "Tokens by model.", ("model", "direction")),
    "stack_stream_chunks_total": ("counter", "Pieces of streams that were sent.", ("route",)),
}
_SECONDS = "stack_request_seconds"
_VERBS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics:
    """The numbers of one process.

    Args:
        folder: where the worker processes of one server leave theirs; None for a server of one process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._values: dict[str, defaultdict[Labels, float]] = {name: defaultdict(float) for name in _HELP}
        self._times: defaultdict[Labels, list[float]] = defaultdict(lambda: [0.0] * (len(BUCKETS) + 2))

    def began(self) -> None:
        """A request came."""
        self._values["stack_requests_in_flight"][()] += 1

    def ended(self, route: Route | None, verb: str, status: int, seconds: float) -> None:
        """A request was answered; the answer's body, too, has gone out."""
        name = route.id if route else "none"
        self._values["stack_requests_in_flight"][()] -= 1
        self._values["stack_requests_total"][name, verb if verb in _VERBS else "other", str(status)] += 1
        times = self._times[name,]
        times[bisect_left(BUCKETS, seconds)] += 1
        times[-1] += seconds

    def piece(self, route: Route | None) -> None:
        """A piece of a stream was sent."""
        self._values["stack_stream_chunks_total"][route.id if route else "none",] += 1

    def used(self, model: str, usage: Any) -> None:
        """A call said how many tokens it took; chat, completions and embeddings name them so, responses otherwise."""
        for direction, names in (("input", ("prompt_tokens", "input_tokens")),
                                 ("output", ("completion_tokens", "output_tokens"))):  # fmt: skip
            count = next((n for name in names if isinstance(n := vars(usage).get(name), int)), 0)
            if count:
                self._values["stack_tokens_total"][model, direction] += count

    def text(self) -> str:
        """All of it, in Prometheus' text format; the other workers' numbers are added."""
        values = {name: defaultdict(float, kept) for name, kept in self._values.items()}
        times = defaultdict(lambda: [0.0] * (len(BUCKETS) + 2), {k: list(v) for k, v in self._times.items()})
        for other in self._others():
            for name, rows in other["values"].items():
                for labels, value in rows:
                    values[name][tuple(labels)] += value
            for labels, row in other["times"]:
                times[tuple(labels)] = [a + b for a, b in zip(times[tuple(labels)], row, strict=True)]
        return "\n".join([*_counted(values), *_timed(times), ""])

    def leave(self) -> None:
        """Write this process's numbers where the other workers find them."""
        if self._folder is None:
            return
        content = {
            "values": {name: [[list(k), v] for k, v in kept.items()] for name, kept in self._values.items()},
            "times": [[list(k), v] for k, v in self._times.items()],
        }
        part = self._folder / f"{os.getpid()}.part"
        part.write_text(json.dumps(content))
        part.replace(self._folder / f"{os.getpid()}.json")

    @asynccontextmanager
    async def left_often(self) -> AsyncIterator[None]:
        """Inside, this process's numbers are left every second for the other workers."""

        async def leaving() -> None:
            while True:
                await asyncio.sleep(EVERY)
                await asyncio.to_thread(self.leave)

        if self._folder is None:
            yield
            return
        task = asyncio.create_task(leaving())
        try:
            yield
        finally:
            task.cancel()
            self.leave()

    def _others(self) -> Iterable[dict[str, Any]]:
        """What the other workers left. One that has died counts on, but for what it was answering."""
        if self._folder is None:
            return
        for path in self._folder.glob("*.json"):
            if path.stem == str(os.getpid()):
                continue
            with suppress(OSError, ValueError):
                content = json.loads(path.read_text())
                if not _lives(int(path.stem)):
                    content["values"].pop("stack_requests_in_flight", None)
                yield content


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _counted(values: Mapping[str, Mapping[Labels, float]]) -> Iterable[str]:
    for name, (kind, text, names) in _HELP.items():
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} {kind}"
        for labels, value in sorted(values[name].items()):
            yield (
                f"{name}{_shown(names, labels)} {value:g}"
                if value < 1e6
                else f"{name}{_shown(names, labels)} {value:.0f}"
            )


def _timed(times: Mapping[Labels, list[float]]) -> Iterable[str]:
    yield f"# HELP {_SECONDS} Time from the request to the end of its answer."
    yield f"# TYPE {_SECONDS} histogram"
    for labels, row in sorted(times.items()):
        total = 0.0
        for end, count in zip((*map(str, BUCKETS), "+Inf"), row, strict=False):
            total += count
            yield f"{_SECONDS}_bucket{_shown(('route', 'le'), (*labels, end))} {total:.0f}"
        yield f"{_SECONDS}_sum{_shown(('route',), labels)} {row[-1]:.6f}"
        yield f"{_SECONDS}_count{_shown(('route',), labels)} {total:.0f}"


def _shown(names: Iterable[str], values: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Counted:
    """A door that counts the tokens of what comes back through it."""

    def __init__(self, door: Door, metrics: Metrics) -> None:
        self._door, self._metrics = door, metrics

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """Carry out a route (the door of `apis/_bind.py`)."""
        result = await self._door.call(route, args)
        model = getattr(args.get("request"), "__dict__", {}).get("model")
        if not isinstance(model, str):
            return result
        if hasattr(type(result), "__aiter__"):
            return _CountedStream(result, model, self._metrics)
        _count(result, model, self._metrics)
        return result


class _CountedStream:
    """A stream whose last words on usage are counted."""

    def __init__(self, items: AsyncIterator[Any], model: str, metrics: Metrics) -> None:
        self._items, self._model, self._metrics = items, model, metrics
        self._next = aiter(items).__anext__

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await self._next()
        _count(item, self._model, self._metrics)
        return item

    async def aclose(self) -> None:
        """Close what is counted."""
        await close(self._items)


def _count(item: Any, model: str, metrics: Metrics) -> None:
    """Fields are looked up in the object's own dictionary: asking a model for one that it lacks costs microseconds."""
    fields = getattr(item, "__dict__", {})
    usage = fields.get("usage")
    if usage is None and "response" in fields:  # the events of the responses API carry the whole response
        usage = getattr(fields["response"], "__dict__", {}).get("usage")
    if usage is not None and hasattr(usage, "__dict__"):
        metrics.used(model, usage)
