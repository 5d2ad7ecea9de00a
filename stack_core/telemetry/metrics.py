"""Metrics made from spans: tokens, durations and errors by model and provider, and values that clients sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stack_core.apis.telemetry import MetricLabel, MetricMatcher, MetricPoint, MetricSeries, QueryMetricsRequest
from stack_core.errors import InvalidRequest, NotFound
from stack_core.telemetry.patterns import LONGEST_TEXT, compiled
from stack_core.telemetry.query import EXPIRES, alive, walk
from stack_core.telemetry.spans import MODEL_CALLS, OWNER, Span, SpanSource

KIND = "metric"
"""The kind of a span that is a value which a client sent."""
VALUE, UNIT = "stack.metric.value", "stack.metric.unit"
_HIDDEN = (VALUE, UNIT, EXPIRES, OWNER)

Labels = tuple[tuple[str, str], ...]
_WIDTHS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Measure:
    """A metric: what a span adds to it (None: nothing), its unit, and whether a point is the mean in place of the
    sum."""

    of: Callable[[Span], float | None]
    unit: str
    mean: bool = False


def _tokens(*names: str) -> Callable[[Span], float | None]:
    def of(span: Span) -> float | None:
        counts = [span.attributes.get(f"gen_ai.usage.{name}_tokens") for name in names]
        known = [count for count in counts if count is not None]
        return sum(known) if known and span.attributes.get("gen_ai.operation.name") in MODEL_CALLS else None

    return of


def _seconds(span: Span) -> float | None:
    return span.seconds if "stack.provider_id" in span.attributes else None


def _failed(span: Span) -> float | None:
    served = "stack.provider_id" in span.attributes or "stack.model" in span.attributes
    return 1.0 if served and span.state == "failed" else None


MEASURES: Mapping[str, Measure] = {
    "prompt_tokens": Measure(_tokens("input"), "tokens"),
    "completion_tokens": Measure(_tokens("output"), "tokens"),
    "total_tokens": Measure(_tokens("input", "output"), "tokens"),
    "duration": Measure(_seconds, "s", mean=True),
    "errors": Measure(_failed, "count"),
}


@dataclass
class _Sum:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1


@dataclass
class _Series:
    unit: str
    points: dict[int, _Sum] = field(default_factory=dict)


async def series(source: SpanSource, metric: str, request: QueryMetricsRequest, now: int) -> list[MetricSeries]:
    """The series of a metric between two times, `now` (nanoseconds) being the end where none is given.

    Raises:
        NotFound: no metric has this name: it is none of ours, and no client sent a value for it in this time.
        InvalidRequest: an expression of a matcher that is none, or an end before the start.
    """
    end = now if request.end_time is None else request.end_time * 1_000_000_000
    start = request.start_time * 1_000_000_000
    if end < start:
        raise InvalidRequest("end_time is before start_time")
    measure = MEASURES.get(metric)
    matches = [_matcher(given) for given in request.label_matchers or ()]
    width = _WIDTHS[(request.granularity or "1d")[-1]] * int((request.granularity or "1d")[:-1])
    found: dict[Labels, _Series] = {}
    sent = False
    async for batch in walk(source, newest=False, since=start, until=end):
        for span in batch:
            value, unit, labels = _reading(span, metric, measure)
            if value is None or not alive(span, now):
                continue
            sent = True
            if all(match(dict(labels)) for match in matches):
                at = request.start_time if request.query_type == "instant" else span.start // 1_000_000_000
                begin = at if request.query_type == "instant" else at - at % width
                found.setdefault(labels, _Series(unit)).points.setdefault(begin, _Sum()).add(value)
    if measure is None and not sent:
        raise NotFound("metric", metric, MEASURES)
    mean = measure.mean if measure else True
    return [_shown(metric, labels, found[labels], mean) for labels in sorted(found)]


def _reading(span: Span, metric: str, measure: Measure | None) -> tuple[float | None, str, Labels]:
    """What a span says of a metric: the value, its unit, its labels."""
    if span.kind == KIND and span.name == metric:
        own = {k: str(v) for k, v in span.attributes.items() if k not in _HIDDEN and v is not None}
        return float(span.attributes[VALUE]), str(span.attributes[UNIT]), tuple(sorted(own.items()))
    value = measure.of(span) if measure is not None and span.kind != KIND else None
    if measure is None or value is None:
        return None, "", ()
    model = span.attributes.get("stack.model") or span.attributes.get("gen_ai.request.model")
    known = (("model_id", model), ("provider_id", span.attributes.get("stack.provider_id")))
    return value, measure.unit, tuple((name, str(text)) for name, text in known if text is not None)


def _matcher(given: MetricMatcher) -> Callable[[Mapping[str, str]], bool]:
    wanted = given.operator in ("=", "=~")
    if given.operator in ("=", "!="):
        return lambda labels: (labels.get(given.name, "") == given.value) is wanted
    pattern = compiled(given.value, "label_matchers")
    return lambda labels: (pattern.fullmatch(labels.get(given.name, "")[:LONGEST_TEXT]) is not None) is wanted


def _shown(metric: str, labels: Labels, found: _Series, mean: bool) -> MetricSeries:
    return MetricSeries(
        metric=metric,
        labels=[MetricLabel(name=name, value=value) for name, value in labels],
        values=[
            MetricPoint(timestamp=at, value=point.total / point.count if mean else point.total, unit=found.unit)
            for at, point in sorted(found.points.items())
        ],
    )
