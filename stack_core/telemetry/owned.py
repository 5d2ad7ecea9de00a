"""The spans of one caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from stack_core.telemetry.query import walk
from stack_core.telemetry.spans import OWNER, Span, SpanSource


class OwnSpans:
    """A view of a source in which only the calls of one caller, and what they caused, are there."""

    def __init__(self, source: SpanSource, owner: str) -> None:
        self._source, self._owner = source, owner

    async def roots(self, *, limit: int, offset: int = 0, since: int = 0) -> list[Span]:
        """Spans that nothing of this stack called, newest first."""
        return await self._some(walk(self._source, roots=True, since=since), limit, offset)

    async def find(self, *, trace_ids: Sequence[str] = (), trace_prefix: str = "", span_id: str = "") -> list[Span]:
        """Spans of these traces, of traces whose id begins so, or of this id, by start."""
        found = await self._source.find(trace_ids=trace_ids, trace_prefix=trace_prefix, span_id=span_id)
        return self._own(found)

    async def between(
        self, since: int, until: int, *, roots: bool = False, newest: bool = True, limit: int, offset: int = 0
    ) -> list[Span]:
        """Spans that began in this time, by start and id."""
        batches = walk(self._source, roots=roots, newest=newest, since=since, until=until)
        return await self._some(batches, limit, offset)

    async def put(self, span: Span) -> None:
        """Keep a span that was made elsewhere, in place of one of the same id."""
        await self._source.put(span)

    def _own(self, spans: Sequence[Span]) -> list[Span]:
        return [span for span in spans if span.attributes.get(OWNER) == self._owner]

    async def _some(self, batches: AsyncIterator[list[Span]], limit: int, offset: int) -> list[Span]:
        found: list[Span] = []
        async for batch in batches:
            found += self._own(batch)
            if len(found) >= offset + limit:
                break
        return found[offset : offset + limit]
