"""What a span says about a call, plain and streamed, however it ends."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import opentelemetry.semconv._incubating.attributes.gen_ai_attributes as conventions
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from stack_core import context
from stack_core.errors import RateLimited
from stack_core.telemetry import genai
from stack_core.telemetry.middleware import Telemetry
from stack_core.telemetry.sinks import MemorySink, read
from tests.stack_core.telemetry.conftest import USAGE, Bench, answer, chunk

END = chunk("", finish_reason="stop", usage=USAGE)


async def test_a_chat_says_what_the_conventions_ask(bench: Bench) -> None:
    bench.provider.reply = answer()
    with_cell = context.cell.set({"number": 7, "id": "abc"})
    await bench.chat(temperature=0.5, max_tokens=9, stop="x", seed=3, n=1, response_format={"type": "json_object"})
    context.cell.reset(with_cell)
    span = await bench.last()
    assert (span.name, span.kind, span.state, span.root) == ("chat gpt", "client", "done", True)
    assert span.trace_id == bench.calls[0].trace_id
    assert len(span.trace_id) == 32
    content = {k: json.loads(span.attributes[k]) for k in ("gen_ai.input.messages", "gen_ai.output.messages")}
    assert {k: v for k, v in span.attributes.items() if k not in content} == {
        "stack.route": "inference.chat_completion",
        "stack.root": True,
        "stack.state": "done",
        "stack.model": "azure/gpt",
        "stack.provider_id": "azure",
        "stack.cell.number": 7,
        "stack.cell.id": "abc",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.output.type": "json",
        "gen_ai.request.model": "gpt",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.request.seed": 3,
        "gen_ai.request.choice.count": 1,
        "gen_ai.response.id": "c1",
        "gen_ai.response.model": "real-model",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
    }
    assert content == {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "secret question"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "hello"}], "finish_reason": "stop"}
        ],
    }


async def test_every_gen_ai_name_is_one_of_the_conventions(bench: Bench, streamed: Any) -> None:
    bench.provider.reply = streamed(chunk("a"), END)
    async for _ in await bench.chat(stream=True, temperature=1, top_p=1, frequency_penalty=1, presence_penalty=1):
        pass
    await bench.inference.embeddings(model="p/e", input="x", dimensions=8)
    known = {v for v in vars(conventions).values() if isinstance(v, str)}
    used = {k for s in await bench.memory.find(trace_prefix="") + bench.memory._all() for k in s.attributes}
    assert {k for k in used if k.startswith("gen_ai.")} <= known
    assert {k for k in used if not k.startswith(("gen_ai.", "stack.", "error."))} == set()
    assert set(genai.PROVIDERS.values()) <= {v.value for v in conventions.GenAiProviderNameValues}
    assert set(genai.OPERATIONS.values()) <= {v.value for v in conventions.GenAiOperationNameValues}


async def test_other_operations(bench: Bench) -> None:
    await bench.inference.embeddings(model="p/e", input="x")
    span = await bench.last()
    assert span.name == "embeddings e"
    assert span.attributes["gen_ai.usage.input_tokens"] == 4
    assert "gen_ai.usage.output_tokens" not in span.attributes
    await bench.inference.completion(model="p/m", prompt="once")
    span = await bench.last()
    assert span.name == "text_completion m"
    assert json.loads(span.attributes["gen_ai.output.messages"])[0]["parts"][0]["content"] == "more"


async def test_a_failure(bench: Bench) -> None:
    bench.provider.reply = RateLimited("slow down", provider_id="azure", upstream_status=429)
    with pytest.raises(RateLimited):
        await bench.chat()
    span = await bench.last()
    assert (span.state, span.message) == ("failed", "slow down")
    assert span.attributes["error.type"] == "RateLimited"
    assert span.attributes["stack.upstream_status"] == 429
    assert span.attributes["gen_ai.request.model"] == "gpt"


async def test_a_call_that_finds_no_provider_has_a_span(bench: Bench) -> None:
    with pytest.raises(Exception, match="does not serve"):
        await bench.inference.rerank(model="p/m", query="q", items=["a"])
    span = await bench.last()
    assert (span.name, span.kind, span.state) == ("inference.rerank", "internal", "failed")
    assert not [k for k in span.attributes if k.startswith("gen_ai.")]


async def test_a_cancelled_call(bench: Bench) -> None:
    reached = asyncio.Event()

    async def wait(_: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    bench.provider.reply = wait
    task = asyncio.ensure_future(bench.chat())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = await bench.last()
    assert (span.state, span.message) == ("cancelled", None)
    assert "error.type" not in span.attributes


async def test_secrets_are_scrubbed() -> None:
    memory = MemorySink()
    async with Telemetry([memory], scrub=lambda text: text.replace("sk-1", "***")) as telemetry:
        bench = Bench(telemetry, memory)
        bench.provider.reply = answer("your key is sk-1")
        await bench.chat(messages=[{"role": "user", "content": "sk-1"}])
        bench.provider.reply = ValueError("bad key sk-1")
        with pytest.raises(ValueError, match="sk-1"):
            await bench.chat()
        assert "sk-1" not in str(memory._all())
        assert "***" in str(memory._all())


async def test_a_cost_is_said_where_the_price_is_known() -> None:
    memory = MemorySink()
    prices = {"azure/gpt": 2.0}
    async with Telemetry(
        [memory], price=lambda model, usage: prices[model] * usage.prompt_tokens if model in prices else None
    ) as telemetry:
        bench = Bench(telemetry, memory)
        bench.provider.reply = answer()
        await bench.chat()
        assert (await bench.last()).attributes["stack.cost.usd"] == 10.0
        await bench.chat(model="p/unknown")
        assert "stack.cost.usd" not in (await bench.last()).attributes


async def test_a_caller_learns_the_trace_of_its_call(bench: Bench) -> None:
    async def run(_: Any) -> Any:
        await bench.inference.embeddings(model="p/e", input="x")
        return answer()

    bench.provider.reply = run
    told: list[str] = []
    token = context.trace_id.set(told)
    await bench.chat()
    context.trace_id.reset(token)
    await bench.chat()
    assert told == [bench.calls[0].trace_id]


# ---- streams --------------------------------------------------------------------------------------------------------


async def test_a_stream_is_one_span_until_its_end(bench: Bench, streamed: Any) -> None:
    bench.provider.reply = streamed(chunk("he"), chunk("llo"), END)
    stream = await bench.chat(stream=True)
    assert bench.memory._all() == []
    texts = [c.choices[0].delta.content async for c in stream]
    assert texts == ["he", "llo", ""]
    span = await bench.last()
    assert span.state == "done"
    assert span.attributes["stack.chunks"] == 3
    assert 0 < span.attributes["stack.time_to_first_chunk"] < span.seconds
    assert span.attributes["gen_ai.usage.output_tokens"] == 3
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert json.loads(span.attributes["gen_ai.output.messages"])[0]["parts"][0]["content"] == "hello"
    await stream.aclose()
    assert len(bench.memory._all()) == 1


async def test_a_streams_tool_calls_are_put_together(bench: Bench, streamed: Any) -> None:
    def call(**fields: Any) -> Any:
        return chunk().model_validate(
            {
                "id": "c",
                "created": 1,
                "model": "m",
                "choices": [{"delta": {"tool_calls": [fields]}, "finish_reason": None}],
            }
        )

    bench.provider.reply = streamed(
        call(index=0, id="t1", function={"name": "add", "arguments": '{"a"'}),
        call(index=1, id="t2", function={"name": "sub", "arguments": "{}"}),
        call(index=0, function={"arguments": ": 1}"}),
        chunk(finish_reason="tool_calls"),
    )
    async for _ in await bench.chat(stream=True):
        pass
    said = json.loads((await bench.last()).attributes["gen_ai.output.messages"])
    assert said[0]["parts"] == [
        {"type": "tool_call", "id": "t1", "name": "add", "arguments": '{"a": 1}'},
        {"type": "tool_call", "id": "t2", "name": "sub", "arguments": "{}"},
    ]


async def test_a_stream_that_fails(bench: Bench, streamed: Any) -> None:
    bench.provider.reply = streamed(chunk("a"), RateLimited("enough"))
    with pytest.raises(RateLimited):
        async for _ in await bench.chat(stream=True):
            pass
    span = await bench.last()
    assert (span.state, span.message, span.attributes["stack.chunks"]) == ("failed", "enough", 1)


async def test_a_stream_that_is_closed_early_closes_what_is_below(bench: Bench) -> None:
    closed = []

    async def run(_: Any) -> Any:
        try:
            yield chunk("a")
            yield chunk("b")
        finally:
            closed.append(trace.get_current_span().get_span_context().trace_id)

    bench.provider.reply = run
    stream = await bench.chat(stream=True)
    await anext(stream)
    await stream.aclose()
    assert [trace.format_trace_id(i) for i in closed] == [bench.calls[0].trace_id]
    assert (await bench.last()).state == "closed"


async def test_a_stream_that_is_dropped_ends_its_span(bench: Bench, streamed: Any) -> None:
    bench.provider.reply = streamed(chunk("a"), END)
    async for _ in await bench.chat(stream=True):
        break
    gc.collect()
    assert (await bench.last()).state == "closed"


async def test_a_cancelled_stream(bench: Bench) -> None:
    reached = asyncio.Event()

    async def run(_: Any) -> Any:
        yield chunk("partial")
        reached.set()
        await asyncio.Event().wait()

    bench.provider.reply = run

    async def consume() -> None:
        async for _ in await bench.chat(stream=True):
            pass

    task = asyncio.ensure_future(consume())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = await bench.last()
    assert span.state == "cancelled"
    assert "partial" in span.attributes["gen_ai.output.messages"]


# ---- parents --------------------------------------------------------------------------------------------------------


async def test_nested_calls_are_children_in_plain_calls_and_in_every_chunk(bench: Bench) -> None:
    async def run(_: Any) -> Any:
        for _i in range(3):
            await bench.inference.embeddings(model="p/e", input="x")
            yield chunk("a")

    bench.provider.reply = run
    async for _ in await bench.chat(stream=True):
        # What the consumer does between chunks is not part of the call.
        assert not trace.get_current_span().get_span_context().is_valid
        await bench.inference.embeddings(model="p/e", input="outside")
    roots = await bench.memory.roots(limit=10)
    assert sorted(s.name for s in roots) == ["chat gpt", *["embeddings e"] * 3]
    chat = next(s for s in roots if s.name == "chat gpt")
    children = [s for s in bench.memory._all() if s.parent_id == chat.span_id]
    assert [s.name for s in children] == ["embeddings e"] * 3
    assert {s.trace_id for s in children} == {chat.trace_id}


async def test_streams_at_once_keep_their_own_parents(bench: Bench) -> None:
    async def run(request: Any) -> Any:
        for _i in range(4):
            await asyncio.sleep(0)
            await bench.inference.embeddings(model=f"p/{request.messages[0].content}", input="x")
            yield chunk("a")

    bench.provider.reply = run

    async def one(name: str) -> None:
        async for _ in await bench.chat(stream=True, model=f"p/{name}", messages=[{"role": "user", "content": name}]):
            await asyncio.sleep(0)

    await asyncio.gather(*(one(str(i)) for i in range(8)))
    spans = bench.memory._all()
    names = {s.span_id: s.name for s in spans}
    nested = [(s.name, names[s.parent_id]) for s in spans if s.name.startswith("embeddings")]
    assert len(nested) == 32
    assert all(child.split()[1] == parent.split()[1] for child, parent in nested)


async def test_a_span_of_the_program_is_the_parent_and_the_call_still_a_root(bench: Bench) -> None:
    bench.provider.reply = answer()
    outer = TracerProvider(shutdown_on_exit=False).get_tracer("program").start_span("work")
    with trace.use_span(outer, end_on_exit=True):
        await bench.chat()
    span = await bench.last()
    assert span.parent_id == trace.format_span_id(outer.get_span_context().span_id)
    assert span.root


def test_the_global_provider_is_left_alone() -> None:
    before = trace.get_tracer_provider()
    Telemetry([MemorySink()])
    assert trace.get_tracer_provider() is before


# ---- sinks ----------------------------------------------------------------------------------------------------------


class Exporter(SpanProcessor):
    """Stands for any processor of OpenTelemetry's, such as one that exports."""

    def __init__(self, *, fails: bool = False) -> None:
        self.spans: list[ReadableSpan] = []
        self.fails, self.stopped = fails, False

    def on_end(self, span: ReadableSpan) -> None:
        if self.fails:
            raise OSError("no route to host")
        self.spans.append(span)

    def shutdown(self) -> None:
        self.stopped = True


async def test_content_goes_only_to_sinks_that_want_it(streamed: Any) -> None:
    wants, refuses, exporter = MemorySink(), MemorySink(content=False), Exporter()
    async with Telemetry([wants, exporter, refuses]) as telemetry:
        bench = Bench(telemetry, wants)
        bench.provider.reply = answer("secret answer")
        await bench.chat()
        bench.provider.reply = streamed(chunk("secret answer"), END)
        async for _ in await bench.chat(stream=True):
            pass
    assert str(wants._all()).count("secret answer") == 2
    for spans in (refuses._all(), [read(span) for span in exporter.spans]):
        assert len(spans) == 2
        assert "secret" not in str(spans)
    assert exporter.stopped


async def test_a_sink_that_fails_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    memory = MemorySink()
    async with Telemetry([Exporter(fails=True), memory]) as telemetry:
        bench = Bench(telemetry, memory)
        bench.provider.reply = answer()
        assert (await bench.chat()).choices[0].message.content == "hello"
        assert (await bench.last()).state == "done"
    assert "not recorded by Exporter" in caplog.text


async def test_content_is_bounded_and_holds_no_files(bench: Bench) -> None:
    bench.provider.reply = answer("z" * 100_000)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    many = [{"role": "user", "content": "y" * 7_000} for _ in range(40)]
    last = {"role": "user", "content": [{"type": "text", "text": "look"}, image]}
    await bench.chat(messages=[*many, last])
    attributes = (await bench.last()).attributes
    asked = attributes["gen_ai.input.messages"]
    assert len(asked) < 80_000
    assert json.loads(asked)[-1]["parts"] == [{"type": "text", "content": "look"}, {"type": "image_url"}]
    assert len(attributes["gen_ai.output.messages"]) < 9_000
