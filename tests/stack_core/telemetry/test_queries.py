"""Spans kept in memory and in SQLite answer the same questions alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack_core import context
from stack_core.errors import NotFound, StoreUnavailable
from stack_core.storage.backends import Backends
from stack_core.storage.sqlite import open_sqlite
from stack_core.telemetry import sinks
from stack_core.telemetry.middleware import Telemetry
from stack_core.telemetry.sinks import MemorySink, SqliteSink
from stack_core.telemetry.spans import Node, SpanSource, spans, traces, tree
from tests.stack_core.telemetry.conftest import USAGE, Bench, answer, chunk


@dataclass
class Asked:
    """A bench and the sink that a test asks."""

    bench: Bench
    source: SpanSource


@pytest.fixture(params=["memory", "sqlite"])
async def asked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Asked]:
    memory = MemorySink()
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        kept = SqliteSink(sql)
        async with Telemetry([memory, kept]) as telemetry:
            yield Asked(Bench(telemetry, memory), kept if request.param == "sqlite" else memory)


async def nested(bench: Bench) -> str:
    """A streamed chat that calls embeddings twice; gives its trace id."""

    async def run(_: Any) -> Any:
        await bench.inference.embeddings(model="p/e", input="x")
        await bench.inference.embeddings(model="p/f", input="x")
        yield chunk("a", finish_reason="stop", usage={**USAGE, "cost": 0.25})

    bench.provider.reply = run
    async for _ in await bench.chat(stream=True):
        pass
    return bench.calls[-3].trace_id or ""


async def test_the_last_traces(asked: Asked) -> None:
    bench = asked.bench
    first = await nested(bench)
    bench.provider.reply = ValueError("broken")
    token = context.cell.set({"number": 3})
    with pytest.raises(ValueError, match="broken"):
        await bench.chat()
    context.cell.reset(token)
    found = await traces(asked.source)
    assert [(t.name, t.state, t.spans, t.errors) for t in found] == [
        ("chat gpt", "failed", 1, 1),
        ("chat gpt", "done", 3, 0),
    ]
    assert found[0].cell == {"number": 3}
    assert found[0].cost is None
    assert found[1].trace_id == first
    assert (found[1].input_tokens, found[1].output_tokens, found[1].cost) == (13, 3, 0.25)
    assert [t.trace_id for t in await traces(asked.source, limit=1, offset=1)] == [first]
    assert await traces(asked.source, since=time.time_ns()) == []


async def test_a_trace_by_the_beginning_of_its_id(asked: Asked) -> None:
    trace_id = await nested(asked.bench)
    for name in (trace_id, trace_id[:12], trace_id[:12].upper()):
        found = await spans(asked.source, name)
        assert [s.name for s in found] == ["chat gpt", "embeddings e", "embeddings f"]
        assert {s.trace_id for s in found} == {trace_id}
    for name in ("zzzz", ""):
        with pytest.raises(NotFound):
            await spans(asked.source, name)


async def test_a_tree(asked: Asked) -> None:
    await nested(asked.bench)
    root = (await asked.source.roots(limit=1))[0]
    whole = await tree(asked.source, root.span_id)

    def shape(node: Node) -> Any:
        return (node.span.name, [shape(child) for child in node.children])

    assert shape(whole) == ("chat gpt", [("embeddings e", []), ("embeddings f", [])])
    assert shape(await tree(asked.source, whole.children[1].span.span_id)) == ("embeddings f", [])
    with pytest.raises(NotFound):
        await tree(asked.source, "0" * 16)


async def test_both_sinks_tell_the_same(tmp_path: Path) -> None:
    memory = MemorySink()
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        kept = SqliteSink(sql)
        async with Telemetry([memory, kept]) as telemetry:
            bench = Bench(telemetry, memory)
            trace_id = await nested(bench)
            one, two = await spans(memory, trace_id), await spans(kept, trace_id)
            as_lists = [{k: list(v) if isinstance(v, tuple) else v for k, v in span.attributes.items()} for span in one]
            assert as_lists == [span.attributes for span in two]
            assert [(s.span_id, s.parent_id, s.start, s.end, s.name) for s in one] == [
                (s.span_id, s.parent_id, s.start, s.end, s.name) for s in two
            ]


async def test_the_ring_keeps_the_last() -> None:
    memory = MemorySink(3)
    async with Telemetry([memory]) as telemetry:
        bench = Bench(telemetry, memory)
        for i in range(5):
            await bench.inference.embeddings(model=f"p/{i}", input="x")
    assert [s.name for s in await memory.roots(limit=9)] == ["embeddings 4", "embeddings 3", "embeddings 2"]


async def test_no_span_is_lost_when_the_stack_closes(tmp_path: Path) -> None:
    config = {"sql_default": {"type": "sql_sqlite", "db_path": str(tmp_path / "s.db")}}
    memory = MemorySink()
    async with Backends(config) as backends:
        sink = SqliteSink(backends.sql("sql_default"))
        async with Telemetry([memory, sink]) as telemetry:
            bench = Bench(telemetry, memory)
            bench.provider.reply = answer()
            await asyncio.gather(*(bench.chat() for _ in range(1000)))
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        async with SqliteSink(sql) as sink:
            assert len(await sink.roots(limit=2000)) == 1000
    assert sink.dropped == 0


async def test_spans_reach_the_table_without_being_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "WAIT_SECONDS", 0.01)
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        async with Telemetry([SqliteSink(sql)]) as telemetry:
            bench = Bench(telemetry, MemorySink())
            await bench.inference.embeddings(model="p/e", input="x")
            async with asyncio.timeout(5):
                while not await sql.select("spans"):
                    pass


async def test_a_span_that_cannot_be_stored_takes_no_other_along(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        sink = SqliteSink(sql)
        async with Telemetry([sink]) as telemetry:
            bench = Bench(telemetry, MemorySink())
            for model in ("a", "\ud83d", "b"):
                await bench.inference.embeddings(model=f"p/{model}", input="x")
        assert [row["name"] for row in await sql.select("spans")] == ["embeddings a", "embeddings b"]


async def test_old_spans_are_removed_when_the_sink_opens(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        async with Telemetry([SqliteSink(sql)]) as telemetry:
            bench = Bench(telemetry, MemorySink())
            await bench.inference.embeddings(model="p/e", input="x")
        assert len(await sql.select("spans")) == 1
        async with SqliteSink(sql, keep_days=1) as sink:
            assert len(await sink.roots(limit=9)) == 1
        async with SqliteSink(sql, keep_days=0) as sink:
            assert await sink.roots(limit=9) == []


async def test_a_store_that_cannot_be_opened_is_said_when_telemetry_opens(tmp_path: Path) -> None:
    async with Backends({"s": {"type": "sql_sqlite", "db_path": str(tmp_path)}}) as backends:
        with pytest.raises(StoreUnavailable):
            async with Telemetry([SqliteSink(backends.sql("s"))]):
                pass


async def test_a_span_that_ends_after_the_sink_is_counted_not_kept(tmp_path: Path, streamed: Any) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        sink = SqliteSink(sql)
        async with Telemetry([sink]) as telemetry:
            bench = Bench(telemetry, MemorySink())
            bench.provider.reply = streamed(chunk("a"))
            stream = await bench.chat(stream=True)
        async for _ in stream:
            pass
        assert sink.dropped == 1
