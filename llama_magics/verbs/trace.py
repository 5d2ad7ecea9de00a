"""`trace`: the last calls that this stack answered, or the spans of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llama_magics import source
from llama_magics.render import words
from llama_magics.results import Listing
from llama_magics.session import Session
from stack_core.errors import Unsupported

if TYPE_CHECKING:
    from llama_magics.cell import Cell

SHORT = 8
"""Digits of a trace's id that a list shows; as many are enough to ask for it."""


def run(cell: Cell) -> Listing:
    """Show what the words name."""
    given = cell.words()
    listing = trace(cell.session, *given)
    listing.code = source.call("trace", *given, out=cell.line.options.get("out"))
    return listing


def trace(session: Session, trace_id: str | None = None) -> Listing:
    """The last traces, or the spans of one; the first digits of its id are enough.

    Raises:
        NotFound: there is no such trace.
        Unsupported: the current stack is a server, which keeps its own.
    """
    opened = session.opened()
    if opened.location is not None:
        raise Unsupported(f"{opened.name} keeps its own traces", "%stack use NAME for a stack of this kernel")
    if trace_id is None:
        return _last(session.run(lambda _: opened.stack.traces()))
    return _one(session.run(lambda _: opened.stack.trace(trace_id)))


def _last(traces: Sequence[Any]) -> Listing:
    rows = [
        [
            found.trace_id[:SHORT],
            datetime.fromtimestamp(found.start / 1e9).strftime("%H:%M:%S"),
            found.name,
            found.state,
            words.seconds(found.seconds),
            f"{found.input_tokens} → {found.output_tokens}" if found.input_tokens or found.output_tokens else "",
            found.cell.get("execution_count", ""),
        ]
        for found in traces
    ]
    say = f"The last {words.count(len(rows), 'call')}, newest first." if rows else "No call yet."
    steps = [("%stack trace ID", "the spans of one")] if rows else [('%stack ask "hi"', "makes one")]
    return Listing("trace", ["id", "at", "call", "state", "took", "tokens", "cell"], rows, say, steps)


def _one(spans: Sequence[Any]) -> Listing:
    began = spans[0].start
    depth: dict[str, int] = {}
    rows = []
    for span in spans:
        depth[span.span_id] = depth.get(span.parent_id, -1) + 1
        name = f"{'· ' * depth[span.span_id]}{span.name}"
        after = words.seconds((span.start - began) / 1e9)
        rows.append([name, after, words.seconds(span.seconds), span.state, span.message or ""])
    say = f"{words.count(len(rows), 'span')} in {words.seconds(spans[0].seconds)}."
    return Listing(f"trace {spans[0].trace_id}", ["span", "after", "took", "state", "error"], rows, say)
