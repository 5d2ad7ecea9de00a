"""Reading spans back: the last traces, the spans of one, and the tree below a span. Plain data, whatever keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from stack_core.errors import NotFound

State = Literal["done", "failed", "cancelled", "closed"]
"""How a call ended. `closed`: its stream was left before its end."""

ROOT = "stack.root"
STATE = "stack.state"
COST = "stack.cost.usd"
OWNER = "enduser.id"
"""Attribute of a span: who called, where a caller is known."""
MODEL_CALLS = ("chat", "text_completion", "embeddings")
"""Operations whose token counts make up those of a trace."""


@dataclass(frozen=True, slots=True)
class Span:
    """One call. Ids are OpenTelemetry's in hex; times are nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    start: int
    end: int
    message: str | None
    """What went wrong, where something did."""
    attributes: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end - self.start) / 1e9

    @property
    def state(self) -> State:
        """How it ended."""
        found: State = self.attributes.get(STATE, "done")
        return found

    @property
    def root(self) -> bool:
        """Nothing of this stack called it."""
        return bool(self.attributes.get(ROOT))


@dataclass(frozen=True, slots=True)
class Trace:
    """One call from outside with everything that it caused. `cost` is in US dollars, None where no price is known."""

    trace_id: str
    name: str
    state: State
    start: int
    seconds: float
    spans: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    cell: Mapping[str, Any]
    """What the notebook said about the cell, such as its number."""


@dataclass(frozen=True, slots=True)
class Node:
    """A span and the calls that it made, by their start."""

    span: Span
    children: list[Node] = field(default_factory=list)


class SpanSource(Protocol):
    """A sink that can be asked."""

    async def roots(self, *, limit: int, offset: int = 0, since: int = 0) -> list[Span]:
        """Spans that nothing of this stack called, newest first, begun at `since` (nanoseconds) or later."""
        ...

    async def find(self, *, trace_ids: Sequence[str] = (), trace_prefix: str = "", span_id: str = "") -> list[Span]:
        """Spans of these traces, of traces whose id begins so, or of this id, by start."""
        ...

    async def between(
        self, since: int, until: int, *, roots: bool = False, newest: bool = True, limit: int, offset: int = 0
    ) -> list[Span]:
        """Spans that began in this time (nanoseconds, both ends included), ordered by start and id; with `roots` only
        those that nothing of this stack called."""
        ...

    async def put(self, span: Span) -> None:
        """Keep a span that was made elsewhere, in place of one of the same id. It is there when this returns."""
        ...


async def traces(source: SpanSource, *, limit: int = 20, offset: int = 0, since: int = 0) -> list[Trace]:
    """The last traces, newest first."""
    roots = await source.roots(limit=limit, offset=offset, since=since)
    members: dict[str, list[Span]] = {root.trace_id: [] for root in roots}
    for span in await source.find(trace_ids=list(members)):
        members[span.trace_id].append(span)
    return [_trace(root, _below(root, members[root.trace_id])) for root in roots]


async def spans(source: SpanSource, trace_id: str) -> list[Span]:
    """The spans of a trace, by start. A trace may be named by the first characters of its id; the newest such is meant.

    Raises:
        NotFound: there is no such trace.
    """
    found = await source.find(trace_prefix=trace_id.lower())
    if not found or not trace_id:
        recent = [root.trace_id for root in await source.roots(limit=50)]
        raise NotFound("trace", trace_id, recent, "%stack trace lists the last ones")
    newest = found[-1].trace_id
    return [span for span in found if span.trace_id == newest]


async def tree(source: SpanSource, span_id: str) -> Node:
    """A span with everything below it.

    Raises:
        NotFound: there is no such span.
    """
    found = await source.find(span_id=span_id.lower())
    if not found:
        raise NotFound("span", span_id)
    root = found[0]
    nodes = {span.span_id: Node(span) for span in await source.find(trace_ids=[root.trace_id])}
    for node in nodes.values():
        parent = nodes.get(node.span.parent_id or "")
        if parent is not None:
            parent.children.append(node)
    return nodes[root.span_id]


def _below(root: Span, members: Sequence[Span]) -> list[Span]:
    """The root and what it caused: one OpenTelemetry trace may hold several calls from outside."""
    kept = {root.span_id: root}
    for span in sorted(members, key=lambda s: s.start):
        if span.parent_id in kept and not span.root:
            kept[span.span_id] = span
    return list(kept.values())


def _trace(root: Span, members: Sequence[Span]) -> Trace:
    calls = [s.attributes for s in members if s.attributes.get("gen_ai.operation.name") in MODEL_CALLS]
    costs = [s.attributes[COST] for s in members if COST in s.attributes]
    prefix = "stack.cell."
    return Trace(
        trace_id=root.trace_id,
        name=root.name,
        state=root.state,
        start=root.start,
        seconds=root.seconds,
        spans=len(members),
        errors=sum(s.state == "failed" for s in members),
        input_tokens=sum(c.get("gen_ai.usage.input_tokens", 0) for c in calls),
        output_tokens=sum(c.get("gen_ai.usage.output_tokens", 0) for c in calls),
        cost=sum(costs) if costs else None,
        cell={k.removeprefix(prefix): v for k, v in root.attributes.items() if k.startswith(prefix)},
    )
