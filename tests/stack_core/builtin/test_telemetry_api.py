"""Traces, spans and metrics by the Telemetry API, from memory and from a table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack_core import Stack, context
from stack_core.apis.telemetry import QueryCondition
from stack_core.errors import Conflict, InvalidRequest, NotFound, StackError
from stack_core.storage.sqlite import open_sqlite
from stack_core.telemetry import query
from stack_core.telemetry.query import Conditions, matching_roots, walk
from stack_core.telemetry.sinks import MemorySink, SqliteSink
from stack_core.telemetry.spans import OWNER, ROOT, Span, SpanSource
from stack_core.transport import in_process_transport
from tests.stack_core.test_stack import run_file, say

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(params=["memory", "table"])
async def stack(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    config = run_file(tmp_path)
    config["providers"]["datasetio"] = [{"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}]
    if request.param == "memory":
        config["storage"]["stores"].pop("inference")
    async with Stack.open(config) as found:
        yield found


@pytest.fixture(params=["memory", "table"])
async def source(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SpanSource]:
    async with open_sqlite(str(tmp_path / "s.db")) as sql, SqliteSink(sql) as kept:
        yield MemorySink() if request.param == "memory" else kept


async def ask(stack: Any, text: str = "hello there", model: str = "echo/one") -> str:
    """A chat; gives its trace id."""
    await stack.inference.chat_completion(model=model, messages=say(text))
    return str((await stack.traces(1))[0].trace_id)


async def sent(stack: Any, kind: str, at: datetime = NOW, span_id: str = "0" * 15 + "1", **more: Any) -> None:
    ttl = more.pop("ttl_seconds", 3_600)
    event = {"type": kind, "trace_id": "f" * 32, "span_id": span_id, "timestamp": at.isoformat(), **more}
    await stack.telemetry.log_event(event=event, ttl_seconds=ttl)


async def test_a_trace_its_spans_and_its_tree(stack: Any) -> None:
    trace_id = await ask(stack)
    trace = await stack.telemetry.get_trace(trace_id)
    assert trace.trace_id == trace_id
    assert trace.start_time <= trace.end_time
    span = await stack.telemetry.get_span(trace_id, trace.root_span_id)
    assert (span.name, span.parent_span_id, span.attributes["stack.model"]) == ("chat one", None, "echo/one")
    tree = (await stack.telemetry.get_span_tree(trace.root_span_id, attributes_to_return=["stack.model"])).data
    assert tree[trace.root_span_id].status == "ok"
    assert tree[trace.root_span_id].attributes == {"stack.model": "echo/one"}
    with pytest.raises(NotFound):
        await stack.telemetry.get_trace("0" * 32)
    with pytest.raises(NotFound):
        await stack.telemetry.get_span(trace_id, "0" * 16)
    with pytest.raises(NotFound):
        await stack.telemetry.get_span_tree("0" * 16)


async def test_filters(stack: Any) -> None:
    one, two = await ask(stack), await ask(stack, model="echo/two")
    with pytest.raises(StackError):
        await stack.inference.chat_completion(model="echo/three", messages=say("x"))

    async def found(*conditions: tuple[str, str, Any]) -> list[str]:
        filters = [{"key": key, "op": op, "value": value} for key, op, value in conditions]
        return [row.trace_id for row in (await stack.telemetry.query_traces(attribute_filters=filters)).data]

    assert await found(("stack.model", "eq", "echo/one")) == [one]
    assert await found(("stack.model", "ne", "echo/one"), ("status", "eq", "ok")) == [two]
    assert await found(("name", "eq", "chat one"), ("duration", "lt", 60)) == [one]
    assert await found(("gen_ai.usage.input_tokens", "gt", 10_000)) == []
    assert await found(("start_time", "gt", (NOW + timedelta(days=1)).isoformat())) == []
    assert set(await found(("start_time", "gt", NOW.timestamp() - 60), ("stack.provider_id", "eq", "echo"))) >= {
        one,
        two,
    }
    with pytest.raises(InvalidRequest, match="no time"):
        await found(("start_time", "gt", "yesterday"))
    with pytest.raises(InvalidRequest, match="op"):
        await found(("name", "like", "x"))
    spans = await stack.telemetry.query_spans(
        attribute_filters=[
            {"key": "status", "op": "eq", "value": "error"},
            {"key": "stack.route", "op": "eq", "value": "inference.chat_completion"},
        ],
        attributes_to_return=["error.type"],
    )
    assert [row.attributes for row in spans.data] == [{"error.type": "NotFound"}]


async def test_pages_and_orders(stack: Any) -> None:
    made = [await ask(stack, str(n)) for n in range(4)]
    chats = [{"key": "name", "op": "eq", "value": "chat one"}]

    async def found(**more: Any) -> list[str]:
        return [row.trace_id for row in (await stack.telemetry.query_traces(attribute_filters=chats, **more)).data]

    assert await found() == made[::-1]
    assert await found(limit=2, offset=1) == [made[2], made[1]]
    assert await found(order_by=["start_time"], limit=3) == made[:3]
    assert await found(order_by=["-trace_id"]) == sorted(made, reverse=True)
    assert await found(order_by=["trace_id", "-start_time"], limit=2) == sorted(made)[:2]
    with pytest.raises(InvalidRequest, match="start_tim"):
        await found(order_by=["start_tim"])


async def test_what_clients_send(stack: Any) -> None:
    child = "0" * 15 + "2"
    await sent(stack, "structured_log", attributes={"who": "me"}, payload={"type": "span_start", "name": "outer"})
    begin = {"type": "span_start", "name": "inner", "parent_span_id": "0" * 15 + "1"}
    await sent(stack, "structured_log", span_id=child, payload=begin)
    assert (await stack.telemetry.get_trace("f" * 32)).end_time is None
    await sent(stack, "unstructured_log", span_id=child, message="working", severity="info")
    end = {"type": "span_end", "status": "error"}
    await sent(stack, "structured_log", NOW + timedelta(seconds=2), span_id=child, payload=end)
    await sent(stack, "structured_log", NOW + timedelta(seconds=3), payload={"type": "span_end", "status": "ok"})
    tree = (await stack.telemetry.get_span_tree("0" * 15 + "1")).data
    shown = {row.name: (row.status, row.end_time) for row in tree.values()}
    assert shown == {
        "outer": ("ok", NOW + timedelta(seconds=3)),
        "inner": ("error", NOW + timedelta(seconds=2)),
        "log": ("ok", NOW),
    }
    assert tree["0" * 15 + "1"].attributes["who"] == "me"
    assert len((await stack.telemetry.get_span_tree("0" * 15 + "1", max_depth=2)).data) == 2
    deep = await stack.telemetry.query_spans(
        attribute_filters=[{"key": "trace_id", "op": "eq", "value": "f" * 32}], max_depth=1
    )
    assert [row.name for row in deep.data] == ["outer"]
    with pytest.raises(Conflict, match="there already"):
        await sent(stack, "structured_log", payload={"type": "span_start", "name": "again"})
    with pytest.raises(Conflict, match="ended already"):
        await sent(stack, "structured_log", payload={"type": "span_end", "status": "ok"})
    with pytest.raises(NotFound):
        await sent(stack, "structured_log", span_id="ab", payload={"type": "span_end", "status": "ok"})
    with pytest.raises(InvalidRequest, match="cannot be kept"):
        await sent(stack, "unstructured_log", datetime(1800, 1, 1, tzinfo=UTC), message="x", severity="info")


async def test_what_has_outlived_its_time_is_not_given(stack: Any) -> None:
    old = NOW - timedelta(hours=2)
    await sent(stack, "structured_log", old, payload={"type": "span_start", "name": "old"}, ttl_seconds=60)
    with pytest.raises(NotFound):
        await stack.telemetry.get_trace("f" * 32)
    named = [{"key": "name", "op": "eq", "value": "old"}]
    assert (await stack.telemetry.query_spans(attribute_filters=named)).data == []


async def test_metrics(stack: Any) -> None:
    await ask(stack)
    await ask(stack)
    await ask(stack, model="echo/two")
    start = int(NOW.timestamp()) - 60

    async def asked(metric: str, **more: Any) -> dict[str, list[float]]:
        given = {"start_time": start, "query_type": "instant", **more}
        rows = (await stack.telemetry.query_metrics(metric, **given)).data
        return {next(x.value for x in row.labels): [point.value for point in row.values] for row in rows}

    prompt, completion = await asked("prompt_tokens"), await asked("completion_tokens")
    total = await asked("total_tokens")
    assert total.keys() == {"echo/one", "echo/two"}
    assert {name: [prompt[name][0] + completion[name][0]] for name in prompt} == total
    assert total["echo/one"] == [2 * total["echo/two"][0]]
    assert sum((await asked("total_tokens", query_type="range", granularity="1s"))["echo/one"]) == total["echo/one"][0]
    for operator, value, kept in (
        ("=", "echo/one", {"echo/one"}),
        ("!=", "echo/one", {"echo/two"}),
        ("=~", "echo/t.*", {"echo/two"}),
        ("!~", "echo/t.*", {"echo/one"}),
        ("=~", "echo", set()),
    ):
        matcher = {"name": "model_id", "value": value, "operator": operator}
        assert (await asked("total_tokens", label_matchers=[matcher])).keys() == kept
    assert all(0 <= value[0] < 60 for value in (await asked("duration")).values())
    assert await asked("errors") == {}
    assert await asked("total_tokens", end_time=start) == {}
    await sent(stack, "metric", metric="queue", value=3, unit="jobs", attributes={"host": "a"})
    await sent(stack, "metric", metric="queue", value=5, unit="jobs", attributes={"host": "a"})
    assert await asked("queue") == {"a": [4.0]}
    with pytest.raises(NotFound, match="total_token"):
        await asked("total_token")
    with pytest.raises(InvalidRequest, match="regular expression"):
        await asked("errors", label_matchers=[{"name": "model_id", "value": "(", "operator": "=~"}])
    with pytest.raises(InvalidRequest, match="before"):
        await asked("errors", end_time=1)


async def test_spans_become_rows_of_a_data_set(stack: Any) -> None:
    await ask(stack)
    source = {"type": "rows", "rows": []}
    await stack.datasets.register_dataset(purpose="eval/messages-answer", source=source, dataset_id="spans")
    chats = [{"key": "name", "op": "eq", "value": "chat one"}]
    given = {"attribute_filters": chats, "attributes_to_save": ["stack.model"]}
    await stack.telemetry.save_spans_to_dataset(**given, dataset_id="spans")
    rows = (await stack.datasetio.iterrows(dataset_id="spans")).data
    assert [(row["name"], row["stack.model"]) for row in rows] == [("chat one", "echo/one")]
    with pytest.raises(StackError, match="span"):
        await stack.telemetry.save_spans_to_dataset(**given, dataset_id="span")


async def test_llama_stacks_client(stack: Any) -> None:
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    trace_id = await ask(stack)
    transport: Any = in_process_transport(stack, httpx)
    carrier = httpx.AsyncClient(transport=transport)
    async with package.AsyncLlamaStackClient(base_url="http://stack", http_client=carrier, max_retries=0) as llama:
        trace = await llama.telemetry.get_trace(trace_id)
        assert trace.trace_id == trace_id
        tree = await llama.telemetry.get_span_tree(trace.root_span_id)
        assert trace.root_span_id in tree
        spans = await llama.telemetry.query_spans(
            attribute_filters=[{"key": "name", "op": "eq", "value": "chat one"}], attributes_to_return=["stack.model"]
        )
        assert [span.attributes for span in spans] == [{"stack.model": "echo/one"}]


def span(n: int, start: int) -> Span:
    return Span(f"{n:032x}", f"{n:016x}", None, f"s{n}", "internal", start, start, None, {ROOT: True})


async def test_a_walk_gives_each_span_once(source: SpanSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where more begin at one moment than a batch holds."""
    monkeypatch.setattr(query, "BATCH", 3)
    starts = [1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5]
    for n, start in enumerate(starts):
        await source.put(span(n, start))
    for newest in (True, False):
        for since, until in ((0, 9), (2, 4), (2, 2)):
            walked = [s async for batch in walk(source, newest=newest, since=since, until=until) for s in batch]
            wanted = [n for n, start in enumerate(starts) if since <= start <= until]
            assert sorted(int(s.span_id, 16) for s in walked) == wanted, (newest, since, until)
            assert [s.start for s in walked] == sorted((s.start for s in walked), reverse=newest)


async def test_the_plain_list_reads_no_more_than_its_page(source: SpanSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "BATCH", 2)
    for n in range(20):
        await source.put(span(n, n))
    asked = []
    between = source.between

    async def counted(*args: Any, **more: Any) -> list[Span]:
        asked.append(more)
        return await between(*args, **more)

    monkeypatch.setattr(source, "between", counted)
    found = await matching_roots(source, Conditions([]), 0, order=[], limit=3, offset=1)
    assert [int(s.span_id, 16) for s in found] == [18, 17, 16]
    assert len(asked) == 2


def test_a_span_without_the_attribute_meets_no_condition_on_it() -> None:
    for op in ("eq", "ne", "gt", "lt"):
        condition = QueryCondition.model_validate({"key": "none", "op": op, "value": 1})
        assert not Conditions([condition]).met(span(1, 1))


async def test_a_caller_sees_their_own_calls_alone(stack: Any) -> None:
    with context.request_scope(caller=context.User("ada")):
        hers = await ask(stack, "ada's secret")
    with context.request_scope(caller=context.User("bob")):
        his = await ask(stack, "bob's secret")
        everything = [QueryCondition(key="start_time", op="gt", value=0)]
        found = (await stack.telemetry.query_spans(attribute_filters=everything, attributes_to_return=[])).data
        assert "bob's secret" in str(found)
        assert "ada's secret" not in str(found)
        traces = (await stack.telemetry.query_traces(attribute_filters=[], limit=100)).data
        assert his in {trace.trace_id for trace in traces}
        assert hers not in {trace.trace_id for trace in traces}
        with pytest.raises(NotFound) as caught:
            await stack.telemetry.get_trace(hers)
        assert hers not in str(caught.value.hint)
    for trace in (hers, his):  # whoever is nobody sees all, as everywhere
        assert (await stack.telemetry.get_trace(trace)).trace_id == trace
    with context.request_scope(caller=context.User("ada")):
        assert (await stack.telemetry.get_trace(hers)).trace_id == hers


async def test_a_caller_cannot_write_over_a_span_of_another(stack: Any) -> None:
    start = {"payload": {"type": "span_start", "name": "mine"}, "attributes": {OWNER: "bob"}}
    end = {"payload": {"type": "span_end", "status": "ok"}}
    with context.request_scope(caller=context.User("ada")):
        await sent(stack, "structured_log", **start)
    with context.request_scope(caller=context.User("bob")):
        with pytest.raises(Conflict, match="there already"):
            await sent(stack, "structured_log", **start)
        with pytest.raises(NotFound):
            await sent(stack, "structured_log", **end)
        with pytest.raises(NotFound):
            await stack.telemetry.get_trace("f" * 32)
    with context.request_scope(caller=context.User("ada")):
        await sent(stack, "structured_log", **end)
        assert (await stack.telemetry.get_trace("f" * 32)).end_time is not None
