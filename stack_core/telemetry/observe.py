"""Watching one call to its end, and a stream chunk by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, Status, StatusCode

from stack_core.apis._call import Call, close
from stack_core.errors import StackError
from stack_core.telemetry import genai
from stack_core.telemetry.content import captured
from stack_core.telemetry.spans import COST, STATE, State

SCOPE = "stack_core"
"""The instrumentation scope of every span of ours."""

Content = dict[int, genai.Attributes]
"""Span id → content, from the end of the call until the sinks have it. It is never put on the span itself, so that no
exporter can see it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every call: where content goes (None: nowhere), how texts are cleaned, what models cost."""

    content: Content | None
    scrub: Callable[[str], str]
    price: Callable[[str | None, Any], float | None]


class Observation:
    """One call while it runs: its span, the context for what it calls, and what its result says."""

    __slots__ = (
        "_asked",
        "_call",
        "_ended",
        "_model",
        "_rules",
        "_span",
        "_start",
        "context",
        "first",
        "reply",
    )

    def __init__(self, call: Call, span: Span, context: Context, rules: Rules) -> None:
        self._call, self._span, self._rules = call, span, rules
        self.context = context
        # The lookup will put the provider's own id into the arguments.
        self._model, self._asked = genai.asked_model(call), call.args.get("request")
        self.reply = genai.Reply(keep=rules.content is not None)
        self.first: float | None = None
        self._ended = False
        self._start = perf_counter()

    def chunk(self, item: Any) -> None:
        """A chunk passed."""
        if self.first is None:
            self.first = perf_counter() - self._start
        self.reply.chunks += 1
        self.reply.feed(item)

    def end(self, error: BaseException | None = None, state: State = "done") -> None:
        """The call is over, one way or another; only the first time counts."""
        if self._ended:
            return
        self._ended = True
        call, span, reply, rules = self._call, self._span, self.reply, self._rules
        if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | GeneratorExit):
            state = "cancelled"
        elif error is not None:
            state = "failed"
        out = {STATE: state, **genai.served(call, self._model)}
        if kind := genai.operation(call):
            span.update_name(f"{kind} {out['gen_ai.request.model']}" if "gen_ai.request.model" in out else kind)
            usage = call.usage if call.usage is not None else reply.usage
            out |= reply.attributes() | genai.spent(usage)
            if usage is not None and (cost := rules.price(self._model, usage)) is not None:
                out[COST] = cost
        if self.first is not None:
            out["stack.time_to_first_chunk"] = out["gen_ai.response.time_to_first_chunk"] = self.first
            out["stack.chunks"] = reply.chunks
        if state == "failed" and error is not None:
            out |= genai.failed(error)
            text = error.message if isinstance(error, StackError) else str(error)
            span.set_status(Status(StatusCode.ERROR, rules.scrub(text)))
        span.set_attributes(out)
        if rules.content is not None:
            rules.content[span.get_span_context().span_id] = captured(call, self._asked, reply, rules.scrub)
        span.end()


class TracedStream:
    """A stream whose span stays open until it ends, fails, is cancelled or is closed early.

    The span is current while a chunk is being made and never while the consumer works on one.
    """

    __slots__ = ("_next", "_stream", "_watched")

    def __init__(self, stream: Any, watched: Observation) -> None:
        self._watched = watched
        self._stream: AsyncIterator[Any] = aiter(stream)
        self._next = self._stream.__anext__

    def __aiter__(self) -> TracedStream:
        return self

    async def __anext__(self) -> Any:
        watched = self._watched
        token = attach(watched.context)
        try:
            item = await self._next()
        except BaseException as error:  # whatever ends the stream ends its span; always raised again
            if not isinstance(error, GeneratorExit):  # that one comes from another context, where there is no token
                detach(token)
            watched.end(None if isinstance(error, StopAsyncIteration) else error)
            raise
        detach(token)
        watched.chunk(item)
        return item

    async def aclose(self) -> None:
        """Close the stream below; the span says `closed` if the stream had not ended."""
        token = attach(self._watched.context)
        try:
            await close(self._stream)
        finally:
            detach(token)
            self._watched.end(state="closed")

    def __del__(self) -> None:
        # A consumer that breaks out of `async for` drops the stream without closing it.
        self._watched.end(state="closed")
