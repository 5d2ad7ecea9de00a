"""Asking the span store: conditions on spans, orders of traces. Nothing here holds more than a batch and the answer."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from stack_core.apis.telemetry import QueryCondition
from stack_core.errors import InvalidRequest, nearest
from stack_core.telemetry.spans import Span, SpanSource

BATCH = 500
"""Spans that are read at once."""
FOREVER = 2**63 - 1
"""The last nanosecond that a store can hold."""
OPEN = "stack.open"
"""Attribute of a span that a client began and has not ended."""
EXPIRES = "stack.expires"
"""Attribute of what a client sent: the time (nanoseconds) from which it is no longer given."""

_FIELDS: dict[str, Callable[[Span], Any]] = {
    "name": lambda span: span.name,
    "trace_id": lambda span: span.trace_id,
    "span_id": lambda span: span.span_id,
    "parent_span_id": lambda span: span.parent_id,
    "start_time": lambda span: span.start,
    "end_time": lambda span: None if OPEN in span.attributes else span.end,
    "status": lambda span: "error" if span.state == "failed" else "ok",
    "duration": lambda span: span.seconds,
}
_ORDERS: dict[str, Callable[[Span], Any]] = {
    "start_time": lambda root: root.start,
    "end_time": lambda root: root.end,
    "trace_id": lambda root: root.trace_id,
    "root_span_id": lambda root: root.span_id,
}
_TIMES = ("start_time", "end_time")


async def walk(
    source: SpanSource, *, roots: bool = False, newest: bool = True, since: int = 0, until: int = FOREVER
) -> AsyncIterator[list[Span]]:
    """All spans that began in this time, in batches by their start. Each batch is found by an index."""
    seen = 0  # how many of those that began with the last one were given already
    while True:
        batch = await source.between(since, until, roots=roots, newest=newest, limit=BATCH, offset=seen)
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        last = batch[-1].start
        alike = sum(span.start == last for span in batch)
        seen = alike + (seen if last == (until if newest else since) else 0)
        since, until = (since, last) if newest else (last, until)


class Conditions:
    """What a span must meet, all of it.

    Raises:
        InvalidRequest: a time that is none.
    """

    def __init__(self, given: Sequence[QueryCondition]) -> None:
        times = [(c.key, c.op, _time(c)) for c in given if c.key in _TIMES]
        self._checks: list[tuple[str, str, Any]] = [(c.key, c.op, c.value) for c in given if c.key not in _TIMES]
        self._checks += times
        self.empty = not self._checks
        starts = [(op, at) for key, op, at in times if key == "start_time"]
        self.since = max([0, *(at for op, at in starts if op in ("gt", "eq"))])
        self.until = min([FOREVER, *(at for op, at in starts if op in ("lt", "eq"))])
        self.traces = [str(wanted).lower() for key, op, wanted in self._checks if (key, op) == ("trace_id", "eq")]

    def met(self, span: Span) -> bool:
        """Whether the span meets them."""
        return all(_holds(_value(span, key), op, wanted) for key, op, wanted in self._checks)


async def matching_spans(
    source: SpanSource, conditions: Conditions, now: int, max_depth: int | None = None
) -> AsyncIterator[list[Span]]:
    """Spans that meet the conditions and lie no deeper than `max_depth` in their trace (1: its root), newest first."""
    async for batch in _candidates(source, conditions):
        found = [span for span in batch if alive(span, now) and conditions.met(span)]
        if found and max_depth is not None:
            depths = await _depths(source, {span.trace_id for span in found})
            found = [span for span in found if depths.get(span.span_id, 1) <= max_depth]
        if found:
            yield found


async def matching_roots(
    source: SpanSource, conditions: Conditions, now: int, *, order: Sequence[str], limit: int, offset: int
) -> list[Span]:
    """The roots of traces in which one span meets the conditions. By start they come from an index, and reading stops
    at the last one needed; other orders look at every root.

    Raises:
        InvalidRequest: an order that there is not; names those there are.
    """
    keys = [_order(text) for text in order] or [("start_time", True)]
    name, falling = keys[0]
    most = offset + limit
    if name == "start_time":  # starts are nanoseconds: what would follow it decides nothing
        kept: list[Span] = []
        async for batch in _roots(source, conditions, now, newest=falling):
            kept += batch
            if len(kept) >= most:
                break
        return kept[offset:most]
    best: list[Span] = []
    async for batch in _roots(source, conditions, now, newest=True):
        best = _first([*best, *batch], most, keys)
    return best[offset:most]


def alive(span: Span, now: int) -> bool:
    """Whether it is still to be given: what a client sent may have a time to live."""
    return bool(now < span.attributes.get(EXPIRES, FOREVER))


async def _candidates(source: SpanSource, conditions: Conditions) -> AsyncIterator[list[Span]]:
    """The spans that may meet the conditions, newest first: found by an index where they name a trace or a time."""
    if conditions.traces:
        yield (await source.find(trace_ids=conditions.traces[:1]))[::-1]
        return
    async for batch in walk(source, since=conditions.since, until=conditions.until):
        yield batch


async def _roots(source: SpanSource, conditions: Conditions, now: int, *, newest: bool) -> AsyncIterator[list[Span]]:
    batches = _candidates(source, conditions) if conditions.traces else walk(source, roots=True, newest=newest)
    async for batch in batches:
        roots = [root for root in batch if root.root and alive(root, now)]
        if not conditions.empty:
            members = await source.find(trace_ids=list({root.trace_id for root in roots}))
            met = {span.trace_id for span in members if alive(span, now) and conditions.met(span)}
            roots = [root for root in roots if root.trace_id in met]
        yield roots


async def _depths(source: SpanSource, trace_ids: set[str]) -> dict[str, int]:
    """Span id → its level, 1 for what nothing in its trace called."""
    parents = {span.span_id: span.parent_id for span in await source.find(trace_ids=list(trace_ids))}
    depths: dict[str, int] = {}
    for span_id in parents:
        way = [span_id]
        while (above := parents.get(way[-1])) in parents and above not in depths and above not in way:
            way.append(above)
        level = depths.get(parents.get(way[-1]) or "", 0)
        for below in reversed(way):
            level += 1
            depths[below] = level
    return depths


def _order(text: str) -> tuple[str, bool]:
    name = text.removeprefix("-")
    if name not in _ORDERS:
        close = nearest(name, _ORDERS)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(_ORDERS)}, a minus before it: falling"
        raise InvalidRequest(f"order_by: traces have no {name!r}", hint)
    return name, text.startswith("-")


def _first(roots: list[Span], most: int, keys: Sequence[tuple[str, bool]]) -> list[Span]:
    """The first ones in an order of several keys, sorted from the last key to the first."""
    if len(keys) == 1:
        name, falling = keys[0]
        return (heapq.nlargest if falling else heapq.nsmallest)(most, roots, key=_ORDERS[name])
    for name, falling in reversed(keys):
        roots = sorted(roots, key=_ORDERS[name], reverse=falling)
    return roots[:most]


def _value(span: Span, key: str) -> Any:
    found = span.attributes.get(key)
    return _FIELDS[key](span) if found is None and key in _FIELDS else found


def _holds(found: Any, op: str, wanted: Any) -> bool:
    if found is None:
        return False
    if op in ("eq", "ne"):
        return (found == wanted or str(found) == str(wanted)) is (op == "eq")
    numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    if not numbers and not (isinstance(found, str) and isinstance(wanted, str)):
        return False
    return bool(found > wanted if op == "gt" else found < wanted)


def _time(condition: QueryCondition) -> int:
    """A time in nanoseconds, given as seconds since 1970 or in ISO 8601 (UTC where it says no zone)."""
    given = condition.value
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 1e11:
        return int(given * 1e9)
    if isinstance(given, str):
        try:
            return nanoseconds(datetime.fromisoformat(given))
        except ValueError:
            pass
    raise InvalidRequest(
        f"attribute_filters: {condition.key} is compared with {given!r}, which is no time",
        "give seconds since 1970 or a text such as 2026-01-31T12:00:00Z",
    )


def nanoseconds(moment: datetime) -> int:
    """Since 1970; a moment without a zone is UTC.

    Raises:
        InvalidRequest: before 1970, or after the last nanosecond that a store can hold (in 2262).
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    found = (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000
    if not 0 <= found <= FOREVER:
        raise InvalidRequest(f"the time {moment.isoformat()} cannot be kept", "give one between 1970 and 2262")
    return found
