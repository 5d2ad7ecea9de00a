"""Telemetry asked for: the span store that the middleware writes, and what clients send to it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from stack_core import context
from stack_core.apis.telemetry import (
    GetSpanTreeRequest,
    LogEvent,
    LogEventRequest,
    MetricEvent,
    MetricList,
    QueryMetricsRequest,
    QuerySpansRequest,
    QueryTracesRequest,
    SaveSpansRequest,
    Span,
    SpanEndPayload,
    SpanEvent,
    SpanList,
    SpanTree,
    SpanWithStatus,
    Telemetry,
    Trace,
    TraceList,
)
from stack_core.builtin._ground import Ground
from stack_core.errors import Conflict, NotFound
from stack_core.telemetry import metrics, spans
from stack_core.telemetry.owned import OwnSpans
from stack_core.telemetry.query import (
    EXPIRES,
    FOREVER,
    OPEN,
    Conditions,
    alive,
    matching_roots,
    matching_spans,
    nanoseconds,
)
from stack_core.telemetry.spans import OWNER, ROOT, STATE, Node, SpanSource

MOST_SPANS = 10_000
"""Spans that one answer holds."""
_OWN = (OPEN, EXPIRES)


class SpanDesk(Telemetry):
    """Answers the Telemetry API."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def _source(self) -> SpanSource:
        """What the caller may see: their own calls, or all where nobody is known."""
        source: SpanSource = self._ground.traces()
        owner = context.owner()
        return source if owner is None else OwnSpans(source, owner)

    async def log_event(self, request: LogEventRequest) -> None:
        """Keep a log line or a measured value as a span without length below the span it names, and a span's begin and
        end as that span.

        Raises:
            Conflict: a span that is there already begins, or one that has ended ends.
            NotFound: a span ends that never began.
        """
        event = request.event
        until = min(nanoseconds(event.timestamp) + request.ttl_seconds * 1_000_000_000, FOREVER)
        given = {**(event.attributes or {}), EXPIRES: until}
        if (owner := context.owner()) is not None:
            given[OWNER] = owner
        if isinstance(event, SpanEvent):
            await self._source.put(await self._begun_or_ended(event, given))
            return
        kind, name, said = _said(event)
        made = _span(event, secrets.token_hex(8), {**given, **said}, name=name, kind=kind, below=event.span_id.lower())
        await self._source.put(made)

    async def query_traces(self, request: QueryTracesRequest) -> TraceList:
        """Traces, newest first where no order is asked for."""
        roots = await matching_roots(
            self._source,
            Conditions(request.attribute_filters or ()),
            time.time_ns(),
            order=request.order_by or (),
            limit=request.limit or 100,
            offset=request.offset or 0,
        )
        return TraceList(data=[_trace(root) for root in roots])

    async def get_trace(self, trace_id: str) -> Trace:
        """One trace.

        Raises:
            NotFound: there is no such trace.
        """
        found = await self._members(trace_id)
        return _trace(next((span for span in found if span.root), found[0]))

    async def get_span(self, trace_id: str, span_id: str) -> Span:
        """One span of a trace.

        Raises:
            NotFound: there is no such trace, or it has no such span.
        """
        found = await self._members(trace_id)
        for span in found:
            if span.span_id == span_id.lower():
                return _shown(span, ())
        raise NotFound("span", span_id, [span.span_id for span in found])

    async def get_span_tree(self, span_id: str, request: GetSpanTreeRequest) -> SpanTree:
        """A span with everything below it.

        Raises:
            NotFound: there is no such span.
        """
        node = await spans.tree(self._source, span_id)
        level, depth, found = [node], 0, list[Node]()
        while level and (request.max_depth is None or depth < request.max_depth):
            found += level
            level, depth = [child for above in level for child in above.children], depth + 1
        now = time.time_ns()
        wanted = request.attributes_to_return or ()
        return SpanTree(data={n.span.span_id: _shown(n.span, wanted) for n in found if alive(n.span, now)})

    async def query_spans(self, request: QuerySpansRequest) -> SpanList:
        """Spans that meet all conditions, newest first, 10,000 at most."""
        found: list[spans.Span] = []
        conditions = Conditions(request.attribute_filters)
        async for batch in matching_spans(self._source, conditions, time.time_ns(), request.max_depth):
            found += batch
            if len(found) >= MOST_SPANS:
                break
        return SpanList(data=[_shown(span, request.attributes_to_return) for span in found[:MOST_SPANS]])

    async def save_spans_to_dataset(self, request: SaveSpansRequest) -> None:
        """Append a row for each span that meets all conditions to a data set.

        Raises:
            NotFound: there is no such data set.
        """
        await self._ground.bound("datasets").get_dataset(dataset_id=request.dataset_id)
        rows = self._ground.bound("datasetio")
        conditions = Conditions(request.attribute_filters)
        async for batch in matching_spans(self._source, conditions, time.time_ns(), request.max_depth):
            table = [_row(span, request.attributes_to_save) for span in batch]
            await rows.append_rows(dataset_id=request.dataset_id, rows=table)

    async def query_metrics(self, metric_name: str, request: QueryMetricsRequest) -> MetricList:
        """The series of a metric.

        Raises:
            NotFound: no metric has this name.
        """
        return MetricList(data=await metrics.series(self._source, metric_name, request, time.time_ns()))

    async def _members(self, trace_id: str) -> list[spans.Span]:
        now = time.time_ns()
        found = [span for span in await spans.spans(self._source, trace_id) if alive(span, now)]
        if not found:
            raise NotFound("trace", trace_id)
        return found

    async def _begun_or_ended(self, event: SpanEvent, given: dict[str, Any]) -> spans.Span:
        span_id, payload = event.span_id.lower(), event.payload
        if not isinstance(payload, SpanEndPayload):
            if await self._ground.traces().find(span_id=span_id):  # whoever it belongs to
                raise Conflict(f"the span {event.span_id!r} is there already", "give each span an id of its own")
            parent = payload.parent_span_id.lower() if payload.parent_span_id else None
            root = {} if parent else {ROOT: True}
            return _span(event, span_id, {**given, OPEN: True, **root}, name=payload.name, below=parent)
        known = await self._source.find(span_id=span_id)
        if not known:
            raise NotFound("span", event.span_id, hint="send its span_start first")
        begun = known[0]
        if OPEN not in begun.attributes:
            raise Conflict(f"the span {event.span_id!r} has ended already")
        kept = {name: value for name, value in begun.attributes.items() if name != OPEN}
        state = "failed" if payload.status == "error" else "done"
        made = _span(event, span_id, {**kept, **given, STATE: state}, name=begun.name, below=begun.parent_id)
        return replace(made, start=begun.start, end=max(begun.start, made.end))


def _said(event: LogEvent | MetricEvent) -> tuple[str, str, dict[str, Any]]:
    """(kind, name, attributes) of what has no length."""
    if isinstance(event, MetricEvent):
        return metrics.KIND, event.metric, {metrics.VALUE: event.value, metrics.UNIT: event.unit}
    return "event", "log", {"stack.log.message": event.message, "stack.log.severity": event.severity}


def _span(
    event: LogEvent | MetricEvent | SpanEvent,
    span_id: str,
    attributes: dict[str, Any],
    *,
    name: str,
    below: str | None,
    kind: str = "internal",
) -> spans.Span:
    at = nanoseconds(event.timestamp)
    return spans.Span(event.trace_id.lower(), span_id, below, name, kind, at, at, None, attributes)


def _trace(root: spans.Span) -> Trace:
    return Trace(
        trace_id=root.trace_id, root_span_id=root.span_id, start_time=_moment(root.start), end_time=_ended(root)
    )


def _shown(span: spans.Span, wanted: Sequence[str]) -> SpanWithStatus:
    return SpanWithStatus(
        span_id=span.span_id,
        trace_id=span.trace_id,
        parent_span_id=span.parent_id,
        name=span.name,
        start_time=_moment(span.start),
        end_time=_ended(span),
        attributes={k: v for k, v in span.attributes.items() if (k in wanted if wanted else k not in _OWN)},
        status="error" if span.state == "failed" else "ok",
    )


def _row(span: spans.Span, wanted: Sequence[str]) -> dict[str, Any]:
    ended = _ended(span)
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_id,
        "name": span.name,
        "start_time": _moment(span.start).isoformat(),
        "end_time": ended.isoformat() if ended else None,
        **{name: span.attributes.get(name) for name in wanted},
    }


def _ended(span: spans.Span) -> datetime | None:
    return None if OPEN in span.attributes else _moment(span.end)


def _moment(nanos: int) -> datetime:
    return datetime.fromtimestamp(nanos / 1e9, UTC)
