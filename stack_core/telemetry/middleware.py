"""The one place that traces: a middleware around every call, and the sinks that its spans go to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from stack_core import context
from stack_core.telemetry import genai
from stack_core.telemetry.observe import SCOPE, Content, Observation, Rules, TracedStream
from stack_core.telemetry.spans import ROOT

if TYPE_CHECKING:
    from stack_core.apis._call import Call

log = logging.getLogger(__name__)


class Telemetry:
    """Traces the calls of one stack. An async context: entering opens the sinks, leaving writes what they still hold.

    Its tracer provider is private; the program's global one is neither read nor changed. A span that is current where
    a call begins becomes its parent.

    Args:
        sinks: OpenTelemetry span processors; each gets every span that ended. One that is an async context manager is
            entered and left. One whose `wants_content` is true also gets what was asked and answered.
        scrub: removes known secrets from texts.
        price: (model as the caller wrote it, usage) → US dollars, or None where the price is not known.
    """

    def __init__(
        self,
        sinks: Sequence[SpanProcessor],
        service_name: str = "stack-core",
        *,
        scrub: Callable[[str], str] = lambda text: text,
        price: Callable[[str | None, Any], float | None] = lambda model, usage: None,
    ) -> None:
        self._sinks = tuple(sinks)
        self._fan = _Fan(self._sinks)
        self._rules = Rules(self._fan.content if self._fan.wants_content else None, scrub, price)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource({"service.name": service_name}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._fan)
        self._tracer = self._provider.get_tracer(SCOPE)
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Telemetry:
        async with AsyncExitStack() as opening:
            for sink in self._sinks:
                if isinstance(sink, AbstractAsyncContextManager):
                    await opening.enter_async_context(sink)
            opening.callback(self._provider.shutdown)
            self._exit = opening.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._exit.__aexit__(*error)

    async def middleware(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        """Wrap a call in a span, which ends with the call's stream if it has one.

        Sets `call.trace_id`, and tells `context.trace_id`.
        """
        watched = self._begin(call)
        token = attach(watched.context)
        try:
            result = await proceed(call)
        except BaseException as error:  # whatever ends the call ends its span; always raised again
            if not isinstance(error, GeneratorExit):  # that one comes from another context, where there is no token
                detach(token)
            watched.end(error)
            raise
        detach(token)
        if hasattr(type(result), "__aiter__"):
            return TracedStream(result, watched)
        watched.reply.feed(result)
        watched.end()
        return result

    def _begin(self, call: Call) -> Observation:
        attributes = genai.opening(call)
        parent = trace.get_current_span()
        if not (isinstance(parent, ReadableSpan) and getattr(parent.instrumentation_scope, "name", "") == SCOPE):
            attributes[ROOT] = True
        kind = trace.SpanKind.INTERNAL if genai.operation(call) is None else trace.SpanKind.CLIENT
        span = self._tracer.start_span(call.route.id, kind=kind, attributes=attributes)
        call.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        told = context.trace_id.get()
        if told is not None and ROOT in attributes:
            told.append(call.trace_id)
        inner = trace.set_span_in_context(span)
        return Observation(call, span, inner, self._rules)


class _Fan(SpanProcessor):
    """Hands each span that ended to every sink; content only to those that want it."""

    def __init__(self, sinks: Sequence[SpanProcessor]) -> None:
        self._sinks = sinks
        self.wants_content = any(getattr(sink, "wants_content", False) for sink in sinks)
        self.content: Content = {}

    def on_end(self, span: ReadableSpan) -> None:
        content = self.content.pop(span.context.span_id, None) if span.context else None
        full = _with(span, content) if content else span
        for sink in self._sinks:
            try:
                sink.on_end(full if getattr(sink, "wants_content", False) else span)
            except Exception:  # a sink that fails must not fail the call
                log.warning("a span was not recorded by %s", type(sink).__name__, exc_info=True)

    def shutdown(self) -> None:
        for sink in self._sinks:
            sink.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        flushed = [sink.force_flush(timeout_millis) for sink in self._sinks]
        return all(flushed)


def _with(span: ReadableSpan, content: genai.Attributes) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), **content},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
