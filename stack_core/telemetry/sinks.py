"""Where spans go: a ring in memory, and a table. Both can be asked (`spans.SpanSource`). An exporter is a sink as well:
any OpenTelemetry span processor is."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import format_span_id, format_trace_id

from stack_core.storage.sql import Column, Row, Sql, Table, Where
from stack_core.telemetry.spans import Span

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""How long a span may wait for others before it goes to the table."""
MOST_WAITING = 256


class MemorySink(SpanProcessor):
    """The last spans, in memory."""

    def __init__(self, size: int = 2_000, *, content: bool = True) -> None:
        self.wants_content = content
        self._spans: deque[ReadableSpan | Span] = deque(maxlen=size)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it."""
        self._spans.append(span)

    async def roots(self, *, limit: int, offset: int = 0, since: int = 0) -> list[Span]:
        """Spans that nothing of this stack called, newest first."""
        found = [s for s in self._all() if s.root and s.start >= since]
        return found[::-1][offset : offset + limit]

    async def find(self, *, trace_ids: Sequence[str] = (), trace_prefix: str = "", span_id: str = "") -> list[Span]:
        """Spans of these traces, of traces whose id begins so, or of this id, by start."""
        wanted = set(trace_ids)
        return [
            s
            for s in self._all()
            if s.trace_id in wanted or (trace_prefix and s.trace_id.startswith(trace_prefix)) or s.span_id == span_id
        ]

    async def between(
        self, since: int, until: int, *, roots: bool = False, newest: bool = True, limit: int, offset: int = 0
    ) -> list[Span]:
        """Spans that began in this time, by start and id."""
        found = [s for s in self._all() if since <= s.start <= until and (s.root or not roots)]
        found.sort(key=lambda s: (s.start, s.span_id), reverse=newest)
        return found[offset : offset + limit]

    async def put(self, span: Span) -> None:
        """Keep a span that was made elsewhere, in place of one of the same id."""
        same = [kept for kept in self._spans if isinstance(kept, Span) and kept.span_id == span.span_id]
        for kept in same:
            self._spans.remove(kept)
        self._spans.append(span)

    def _all(self) -> list[Span]:
        kept = (span if isinstance(span, Span) else read(span) for span in tuple(self._spans))
        return sorted(kept, key=lambda s: s.start)


class SqliteSink(SpanProcessor):
    """Spans in a table of a `Sql` store, written in batches without waiting; leaving it writes the rest.

    Args:
        keep_days: older spans are removed when it opens.
    """

    def __init__(self, sql: Sql, *, table: str = "spans", keep_days: float = 30, content: bool = True) -> None:
        self.wants_content = content
        self.dropped = 0
        """Spans that were lost because the store could not keep up."""
        self._sql, self._keep_days = sql, keep_days
        self._table = Table(
            table,
            (
                Column("span_id", "text", primary=True),
                Column("trace_id", "text", nullable=False),
                Column("parent_id", "text"),
                Column("name", "text", nullable=False),
                Column("kind", "text", nullable=False),
                Column("start", "integer", nullable=False),
                Column("end", "integer", nullable=False),
                Column("root", "integer", nullable=False),
                Column("message", "text"),
                Column("attributes", "json", nullable=False),
            ),
            indexes=(("trace_id",), ("root", "start"), ("start",)),
        )
        self._waiting: deque[ReadableSpan] = deque()
        self._called = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> SqliteSink:
        await self._sql.ensure(self._table)
        oldest = time.time_ns() - int(self._keep_days * 86_400 * 1e9)
        await self._sql.delete(self._table.name, [Where("start", "<", oldest)])
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._loop = None
        self._drain()
        await self._sql.flush()

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it for the next batch. May be called from any thread; before it is entered and after, spans are lost."""
        if self._loop is None:
            self.dropped += 1
            return
        self._waiting.append(span)
        if not self._called or len(self._waiting) == MOST_WAITING:
            self._called = True
            self._loop.call_soon_threadsafe(self._soon)

    def _soon(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._drain()
        elif self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(WAIT_SECONDS, self._drain)

    def _drain(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._called = False
        lost = 0
        for _ in range(len(self._waiting)):  # each on its own, so that one that cannot be stored takes no other along
            lost += not self._sql.enqueue(self._table.name, [_row(read(self._waiting.popleft()))])
        if lost:
            self.dropped += lost
            log.warning("%d spans were dropped: the store cannot keep up or is closed", lost)

    async def roots(self, *, limit: int, offset: int = 0, since: int = 0) -> list[Span]:
        """Spans that nothing of this stack called, newest first."""
        where = [Where("root", "=", 1), Where("start", ">=", since)]
        return [_span(row) for row in await self._select(where, newest=True, limit=limit, offset=offset)]

    async def find(self, *, trace_ids: Sequence[str] = (), trace_prefix: str = "", span_id: str = "") -> list[Span]:
        """Spans of these traces, of traces whose id begins so, or of this id, by start."""
        if span_id:
            where = Where("span_id", "=", span_id)
        elif trace_prefix:
            where = Where("trace_id", "prefix", trace_prefix)
        else:
            where = Where("trace_id", "in", list(trace_ids))
        return [_span(row) for row in await self._select([where])]

    async def between(
        self, since: int, until: int, *, roots: bool = False, newest: bool = True, limit: int, offset: int = 0
    ) -> list[Span]:
        """Spans that began in this time, by start and id."""
        within = [Where("start", ">=", since), Where("start", "<=", until)]
        where = [Where("root", "=", 1), *within] if roots else within
        return [_span(row) for row in await self._select(where, newest=newest, limit=limit, offset=offset, ties=True)]

    async def put(self, span: Span) -> None:
        """Keep a span that was made elsewhere, in place of one of the same id."""
        await self._sql.insert(self._table.name, [_row(span)], replace=True)

    async def _select(
        self,
        where: Sequence[Where],
        *,
        newest: bool = False,
        limit: int | None = None,
        offset: int = 0,
        ties: bool = False,
    ) -> list[Row]:
        self._drain()
        await self._sql.flush()
        way: Literal["asc", "desc"] = "desc" if newest else "asc"
        order = [("start", way), ("span_id", way)] if ties else [("start", way)]
        return await self._sql.select(self._table.name, where, order=order, limit=limit, offset=offset)


def read(span: ReadableSpan) -> Span:
    """A span of OpenTelemetry as plain data."""
    own, parent = span.context, span.parent
    assert own is not None
    return Span(
        trace_id=format_trace_id(own.trace_id),
        span_id=format_span_id(own.span_id),
        parent_id=format_span_id(parent.span_id) if parent is not None else None,
        name=span.name,
        kind=span.kind.name.lower(),
        start=span.start_time or 0,
        end=span.end_time or 0,
        message=span.status.description,
        attributes=dict(span.attributes or {}),
    )


def _row(plain: Span) -> Row:
    return {
        "span_id": plain.span_id,
        "trace_id": plain.trace_id,
        "parent_id": plain.parent_id,
        "name": plain.name,
        "kind": plain.kind,
        "start": plain.start,
        "end": plain.end,
        "root": int(plain.root),
        "message": plain.message,
        "attributes": lambda: json.dumps(plain.attributes, default=str),
    }


def _span(row: Row) -> Span:
    return Span(**{key: value for key, value in row.items() if key != "root"})
