"""What happened: traces, spans and metrics, asked for and sent. Shapes: Llama Stack 0.2.23.

Times are UTC. Ids are OpenTelemetry's: 32 hex digits for a trace, 16 for a span."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, JsonValue

from stack_core.apis._declare import route
from stack_core.apis._shapes import Shape, Strict

MOST_SECONDS = 9_000_000_000
"""The last time that is asked for, in seconds since 1970: nanoseconds must fit 63 bits."""
SpanStatus = Literal["ok", "error"]
Attributes = dict[str, str | bool | int | float | None]
Depth = Annotated[int | None, Field(ge=1, description="How many levels to give; 1: only the root.")]


class Span(Shape):
    """One call."""

    span_id: str
    trace_id: str
    parent_span_id: str | None = None
    name: str
    start_time: datetime
    end_time: datetime | None = Field(None, description="Null: it has not ended.")
    attributes: dict[str, Any] | None = None


class SpanWithStatus(Span):
    """One call, and how it ended."""

    status: SpanStatus | None = None


class Trace(Shape):
    """A call from outside with everything that it caused."""

    trace_id: str
    root_span_id: str
    start_time: datetime
    end_time: datetime | None = None


class TraceList(Shape):
    """Traces in the order asked for."""

    data: list[Trace]


class SpanList(Shape):
    """Spans, newest first."""

    data: list[Span]


class SpanTree(Shape):
    """Span id → span."""

    data: dict[str, SpanWithStatus]


class QueryCondition(Strict):
    """What a span must have. A span without the attribute meets no condition on it."""

    key: str = Field(
        min_length=1,
        description="An attribute, or name, trace_id, span_id, parent_span_id, start_time, end_time, status, duration "
        "(seconds).",
    )
    op: Literal["eq", "ne", "gt", "lt"]
    value: JsonValue


class QueryTracesRequest(Strict):
    """Arguments of `query_traces`."""

    attribute_filters: list[QueryCondition] | None = Field(
        None, description="One span of the trace must meet all of them."
    )
    limit: int | None = Field(100, ge=1, le=1000, description="Most traces to give.")
    offset: int | None = Field(0, ge=0, description="How many to leave out.")
    order_by: list[str] | None = Field(
        None, description="start_time, end_time, trace_id, root_span_id; a minus before it: falling. Else newest first."
    )


class GetSpanTreeRequest(Strict):
    """Arguments of `get_span_tree`, besides the span."""

    attributes_to_return: list[str] | None = Field(None, description="All where it is empty or left out.")
    max_depth: Depth = None


class QuerySpansRequest(Strict):
    """Arguments of `query_spans`."""

    attribute_filters: list[QueryCondition]
    attributes_to_return: list[str] = Field(default_factory=list, description="All where it is empty or left out.")
    max_depth: Depth = None


class SaveSpansRequest(Strict):
    """Arguments of `save_spans_to_dataset`."""

    attribute_filters: list[QueryCondition]
    attributes_to_save: list[str] = Field(description="Each is a column, beside the span's ids, name and times.")
    dataset_id: str
    max_depth: Depth = None


class MetricMatcher(Strict):
    """What a label must be. A series without the label has an empty text there; expressions must match all of it."""

    name: str
    value: str
    operator: Literal["=", "!=", "=~", "!~"] = "="


class QueryMetricsRequest(Strict):
    """Arguments of `query_metrics`, besides the metric."""

    start_time: int = Field(ge=0, le=MOST_SECONDS, description="Seconds since 1970.")
    end_time: int | None = Field(None, ge=0, le=MOST_SECONDS, description="Seconds since 1970; now where left out.")
    granularity: str | None = Field(
        "1d", pattern=r"^[1-9]\d{0,5}[smhdw]$", description="Width of a point in a range: 30s, 5m, 1h, 1d, 1w."
    )
    query_type: Literal["range", "instant"] = Field(description="instant: one point for the whole time.")
    label_matchers: list[MetricMatcher] | None = None


class MetricLabel(Shape):
    """A label of a series."""

    name: str
    value: str


class MetricPoint(Shape):
    """What a metric was."""

    timestamp: int = Field(description="Seconds since 1970, where the point's time begins.")
    value: float
    unit: str


class MetricSeries(Shape):
    """Points by time, of one combination of labels."""

    metric: str
    labels: list[MetricLabel]
    values: list[MetricPoint]


class MetricList(Shape):
    """A series for each combination of labels."""

    data: list[MetricSeries]


class SpanStartPayload(Strict):
    """A span begins."""

    type: Literal["span_start"] = "span_start"
    name: str
    parent_span_id: str | None = None


class SpanEndPayload(Strict):
    """A span ends."""

    type: Literal["span_end"] = "span_end"
    status: SpanStatus


class LogEvent(Strict):
    """A line of a log. Shape: Llama Stack's `UnstructuredLogEvent`."""

    type: Literal["unstructured_log"] = "unstructured_log"
    trace_id: str = Field(min_length=1)
    span_id: str = Field(min_length=1)
    timestamp: datetime
    attributes: Attributes | None = None
    message: str
    severity: Literal["verbose", "debug", "info", "warn", "error", "critical"]


class MetricEvent(Strict):
    """A measured value."""

    type: Literal["metric"] = "metric"
    trace_id: str = Field(min_length=1)
    span_id: str = Field(min_length=1)
    timestamp: datetime
    attributes: Attributes | None = None
    metric: str = Field(min_length=1)
    value: float
    unit: str


class SpanEvent(Strict):
    """A span begins or ends. Shape: Llama Stack's `StructuredLogEvent`."""

    type: Literal["structured_log"] = "structured_log"
    trace_id: str = Field(min_length=1)
    span_id: str = Field(min_length=1)
    timestamp: datetime
    attributes: Attributes | None = None
    payload: Annotated[SpanStartPayload | SpanEndPayload, Field(discriminator="type")]


class LogEventRequest(Strict):
    """Arguments of `log_event`."""

    event: Annotated[LogEvent | MetricEvent | SpanEvent, Field(discriminator="type")]
    ttl_seconds: int = Field(604_800, ge=1, le=MOST_SECONDS, description="After this time it is no longer given.")


class Telemetry(Protocol):
    """The spans of the stack, and those that clients send."""

    @route("POST", "/telemetry/events", sdk="telemetry.log_event")
    async def log_event(self, request: LogEventRequest) -> None:
        """Keep a log line, a measured value, or the begin or end of a span."""
        ...

    @route("POST", "/telemetry/traces", sdk="telemetry.query_traces")
    async def query_traces(self, request: QueryTracesRequest) -> TraceList:
        """Traces, newest first where no order is asked for."""
        ...

    @route("GET", "/telemetry/traces/{trace_id}", sdk="telemetry.get_trace")
    async def get_trace(self, trace_id: str) -> Trace:
        """One trace."""
        ...

    @route("GET", "/telemetry/traces/{trace_id}/spans/{span_id}", sdk="telemetry.get_span")
    async def get_span(self, trace_id: str, span_id: str) -> Span:
        """One span of a trace."""
        ...

    @route("POST", "/telemetry/spans/{span_id}/tree", sdk="telemetry.get_span_tree")
    async def get_span_tree(self, span_id: str, request: GetSpanTreeRequest) -> SpanTree:
        """A span with everything below it."""
        ...

    @route("POST", "/telemetry/spans", sdk="telemetry.query_spans")
    async def query_spans(self, request: QuerySpansRequest) -> SpanList:
        """Spans that meet all conditions, newest first, 10,000 at most."""
        ...

    @route("POST", "/telemetry/spans/export", sdk="telemetry.save_spans_to_dataset")
    async def save_spans_to_dataset(self, request: SaveSpansRequest) -> None:
        """Append a row for each span that meets all conditions to a data set."""
        ...

    @route("POST", "/telemetry/metrics/{metric_name}", sdk="telemetry.query_metrics")
    async def query_metrics(self, metric_name: str, request: QueryMetricsRequest) -> MetricList:
        """prompt_tokens, completion_tokens, total_tokens, duration and errors by model and provider, and the values
        that clients sent."""
        ...
