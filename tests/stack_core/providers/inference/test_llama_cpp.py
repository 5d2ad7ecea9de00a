"""The embedded engine for real: its process comes and goes as it should, and what it answers keeps its shape.

Golden: when the pinned engine is raised, what these tests say about calls, schemas, cancelling and batching must hold.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from stack_core.apis.inference import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankRequest,
)
from stack_core.apis.providers import ProviderId
from stack_core.errors import ConfigError, ContextTooLong, ProviderError, Unsupported
from stack_core.providers.inference._engine.files import BUNDLED
from stack_core.providers.inference._minilm.weights import fetch
from stack_core.providers.inference.llama_cpp import LlamaCpp
from tests.stack_core.providers.inference.gguf_files import header_only
from tests.stack_core.providers.inference.minilm_gguf import convert

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BUNDLED.is_file(), reason="the bundled model is not in this checkout"),
]
WHOLE: dict[str, Any] = {"ignore_eos": True}
"""As many tokens as were asked for."""
CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluate an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "mail": {"enum": ["yes", "no"]}},
    "required": ["name", "age", "mail"],
    "additionalProperties": False,
}


def build(**config: Any) -> LlamaCpp:
    return LlamaCpp(LlamaCpp.Config.model_validate(config), ProviderId("llama-cpp"))


@pytest.fixture
async def engine() -> AsyncIterator[LlamaCpp]:
    async with build() as provider:
        yield provider


def ask(text: str = "Hello", **fields: Any) -> ChatCompletionRequest:
    messages = [{"role": "user", "content": text}]
    return ChatCompletionRequest.model_validate({"model": "tutorial", "messages": messages, "temperature": 0, **fields})


async def said(provider: LlamaCpp, request: ChatCompletionRequest) -> str:
    answer: Any = await provider.chat_completion(request)
    return answer.choices[0].message.content or ""


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if any("child.py" in part for part in child.cmdline())]


def socket_of(child: psutil.Process) -> Path:
    return next(Path(c.laddr) for c in child.net_connections("unix") if str(c.laddr).endswith("/engine.sock"))


async def until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True


# ---- the process ----------------------------------------------------------------------------------------------------


async def test_nothing_starts_before_the_first_call(engine: LlamaCpp) -> None:
    await engine.models()
    await engine.health()
    assert children() == []
    await said(engine, ask())
    (child,) = children()
    assert "xllamacpp" not in sys.modules
    assert os.getsid(child.pid) != os.getsid(0)
    assert not any("key" in part for part in child.cmdline())


async def test_closing_leaves_neither_process_nor_socket() -> None:
    async with build() as provider:
        await said(provider, ask())
        (child,) = children()
        socket = socket_of(child)
        assert stat.S_IMODE(os.stat(socket.parent).st_mode) == 0o700
    assert not child.is_running()
    assert not await asyncio.to_thread(socket.parent.exists)


async def test_the_key_is_needed(engine: LlamaCpp) -> None:
    from stack_core.http import open_client

    await said(engine, ask())
    (child,) = children()
    async with open_client("http://engine", uds=str(socket_of(child))) as client:
        answer = await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == 401


async def test_a_crash_is_told_and_the_next_call_works(engine: LlamaCpp) -> None:
    stream: Any = await engine.chat_completion(ask(stream=True, ignore_eos=True, max_tokens=1500))
    await anext(stream)
    children()[0].send_signal(signal.SIGKILL)
    with pytest.raises(ProviderError, match="SIGKILL") as caught:
        async for _ in stream:
            pass
    assert "next call" in (caught.value.hint or "")
    assert "Hello" in await said(engine, ask())


async def test_a_process_that_died_meanwhile_is_started_anew(engine: LlamaCpp) -> None:
    await said(engine, ask())
    (child,) = children()
    child.kill()
    child.wait(2)  # blocks the event loop, so that it has not been told when the call comes
    assert "Hello" in await said(engine, ask())


async def test_a_process_killed_while_it_starts_is_told_and_the_next_call_works(engine: LlamaCpp) -> None:
    call = asyncio.create_task(said(engine, ask()))
    assert await until(lambda: bool(children()), 5)
    children()[0].kill()
    with pytest.raises(ProviderError, match="SIGKILL while it loaded"):
        await call
    assert "Hello" in await said(engine, ask())


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with build() as provider:
        for _ in range(3):
            call = asyncio.create_task(said(provider, ask()))
            assert await until(lambda: bool(os.listdir(tmp_path)), 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (children(), os.listdir(tmp_path)) == ([], [])


async def test_closing_ends_what_is_starting_and_starts_nothing_more() -> None:
    provider = await build().__aenter__()
    call = asyncio.create_task(said(provider, ask(ignore_eos=True, max_tokens=1900)))
    assert await until(lambda: bool(children()), 5)
    await provider.__aexit__(None, None, None)
    assert children() == []
    with pytest.raises(ProviderError):
        await call
    with pytest.raises(ProviderError, match="closed"):
        await said(provider, ask())
    assert children() == []


async def test_a_file_that_the_engine_refuses(tmp_path: Path) -> None:
    path = header_only(tmp_path / "hollow.gguf")
    async with build(model_path=str(path)) as provider:
        with pytest.raises(ConfigError, match=r"hollow\.gguf") as caught:
            await provider.chat_completion(ask(model="hollow"))
        assert caught.value.where == "providers.inference.llama-cpp.config.model_path"
        assert children() == []


async def test_many_calls_in_a_row(engine: LlamaCpp) -> None:
    """The server drops a connection that has carried a hundred calls."""
    for _ in range(250):
        await said(engine, ask(max_tokens=1))
    (child,) = children()
    assert len(child.net_connections("unix")) < 8


async def test_first_calls_at_once_start_one_process(engine: LlamaCpp) -> None:
    answers = await asyncio.gather(*(said(engine, ask()) for _ in range(5)))
    assert len(set(answers)) == 1
    assert len(children()) == 1


@pytest.mark.parametrize("moment", ["idle", "answering"])
async def test_a_killed_parent_leaves_nothing(moment: str) -> None:
    script = f"""
import asyncio
from stack_core.apis.inference import ChatCompletionRequest
from stack_core.apis.providers import ProviderId
from stack_core.providers.inference.llama_cpp import LlamaCpp
async def main():
    provider = LlamaCpp(LlamaCpp.Config(), ProviderId("x"))
    ask = dict(model="tutorial", messages=[dict(role="user", content="hi")], ignore_eos=True, max_tokens=1900)
    await provider.chat_completion(ChatCompletionRequest(**(ask | dict(max_tokens=1))))
    running = provider._running["tutorial"].engine
    if {moment!r} == "answering":
        stream = await provider.chat_completion(ChatCompletionRequest(**ask, stream=True))
        await anext(stream)
    print(running.pid, running.socket, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, socket = (await parent.stdout.readline()).decode().split()
    child = psutil.Process(int(pid))
    parent.kill()
    await parent.wait()
    assert await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 2)
    assert await until(lambda: not os.path.exists(socket), 2)


async def test_an_interrupt_of_the_terminal_does_not_reach_it(engine: LlamaCpp) -> None:
    await said(engine, ask())
    (child,) = children()
    assert os.getpgid(child.pid) != os.getpgrp()


# ---- what it answers ------------------------------------------------------------------------------------------------


async def test_a_greeting_whole_and_streamed(engine: LlamaCpp) -> None:
    whole: Any = await engine.chat_completion(ask())
    stream: Any = await engine.chat_completion(ask(stream=True))
    chunks: list[ChatCompletionChunk] = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content != ""
    assert whole.choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens > 0


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "calculator"}}])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_call(engine: LlamaCpp, choice: Any, stream: bool) -> None:
    request = ask("What is 12 * 7?", tools=[CALCULATOR], tool_choice=choice, stream=stream)
    if not stream:
        answer: Any = await engine.chat_completion(request)
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("calculator", {"expression": "12 * 7"})
        assert answer.choices[0].finish_reason == "tool_calls"
        return
    chunks: Any = await engine.chat_completion(request)
    name = arguments = ""
    reasons = []
    async for chunk in chunks:
        for part in chunk.choices:
            reasons.append(part.finish_reason)
            for piece in part.delta.tool_calls or []:
                name += piece.function.name or ""
                arguments += piece.function.arguments or ""
    assert (name, json.loads(arguments)) == ("calculator", {"expression": "12 * 7"})
    assert [reason for reason in reasons if reason] == ["tool_calls"]


@pytest.mark.parametrize("text", ["Hello", "Tell me about Oslo", "Thanks!"])
async def test_a_required_call_comes_whatever_was_asked(engine: LlamaCpp, text: str) -> None:
    answer: Any = await engine.chat_completion(ask(text, tools=[CALCULATOR], tool_choice="required", temperature=1))
    (call,) = answer.choices[0].message.tool_calls
    assert isinstance(json.loads(call.function.arguments)["expression"], str)
    assert answer.choices[0].message.content is None


async def test_a_schema_is_kept_at_any_temperature(engine: LlamaCpp) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    for seed in range(6):
        value = json.loads(await said(engine, ask("Invent a person", response_format=form, temperature=1.5, seed=seed)))
        assert set(value) == {"name", "age", "mail"}
        assert isinstance(value["name"], str)
        assert isinstance(value["age"], int)
        assert value["mail"] in ("yes", "no")


async def test_a_pattern_is_kept(engine: LlamaCpp) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}}}
    value = json.loads(await said(engine, ask(response_format=form)))
    assert len(value) == 6
    assert value[2] == "-"


async def test_closing_a_stream_frees_the_slot() -> None:
    async with build(n_parallel=1) as provider:
        stream: Any = await provider.chat_completion(ask(stream=True, ignore_eos=True, max_tokens=1900, temperature=1))
        await anext(stream)
        start = time.monotonic()
        async for _ in stream:
            pass
        whole = time.monotonic() - start
        stream = await provider.chat_completion(ask(stream=True, ignore_eos=True, max_tokens=1900, temperature=1))
        await anext(stream)
        await stream.aclose()
        start = time.monotonic()
        await said(provider, ask(max_tokens=2))
        assert time.monotonic() - start < whole / 2 + 0.2, "a slot that is held would be free only at the answer's end"


@pytest.mark.parametrize("left", ["cancelled", "forgotten"])
async def test_several_answers_that_nobody_reads_free_their_slots(engine: LlamaCpp, left: str) -> None:
    before = asyncio.all_tasks()
    await said(engine, ask(max_tokens=1))
    for _ in range(3):
        request = ask(stream=True, ignore_eos=True, max_tokens=1900, temperature=1, n=3)
        stream: Any = await engine.chat_completion(request)
        await anext(stream)
        if left == "cancelled":
            reader = asyncio.create_task(_drain(stream))
            await asyncio.sleep(0)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        del stream
        gc.collect()
    assert await until(lambda: len(asyncio.all_tasks() - before) <= 1, 2)  # what listens to the process


async def _drain(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_cancelling_a_call_frees_the_slot() -> None:
    async with build(n_parallel=1) as provider:
        await said(provider, ask(max_tokens=1))
        long = ask("hi", ignore_eos=True, max_tokens=1900, temperature=1)
        start = time.monotonic()
        await said(provider, long)
        alone = time.monotonic() - start
        tasks = [asyncio.create_task(said(provider, long)) for _ in range(8)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks), alone / 2)
        start = time.monotonic()
        await said(provider, ask(max_tokens=2))
        assert time.monotonic() - start < 1.5 + 3 * alone  # eight would take eight times as long


async def test_batching_answers_as_one_by_one(engine: LlamaCpp) -> None:
    questions = ["Hello", "What is 2 + 3?", "Thanks!", "Good morning", "Who are you?", "Bye"]
    alone = [await said(engine, ask(question, max_tokens=24)) for question in questions]
    together = await asyncio.gather(*(said(engine, ask(question, max_tokens=24)) for question in questions))
    assert list(together) == alone


async def test_more_answers_than_slots(engine: LlamaCpp) -> None:
    answer: Any = await engine.chat_completion(ask(n=5, max_tokens=4, temperature=1, ignore_eos=True))
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3, 4]
    assert answer.usage.completion_tokens == 20
    one: Any = await engine.chat_completion(ask(max_tokens=4))
    assert answer.usage.prompt_tokens == one.usage.prompt_tokens


async def test_logprobs_stop_and_seed(engine: LlamaCpp) -> None:
    answer: Any = await engine.chat_completion(ask(logprobs=True, top_logprobs=3, max_tokens=3, **WHOLE))
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == 3
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)
    whole = await said(engine, ask())
    assert await said(engine, ask(stop=[whole[5:9]])) == whole[:5]
    drawn = [await said(engine, ask(temperature=1.5, seed=11, max_tokens=20)) for _ in range(2)]
    assert drawn[0] == drawn[1]


async def test_completions_have_the_older_shape(engine: LlamaCpp) -> None:
    request = CompletionRequest(model="tutorial", prompt=["One", "Two"], max_tokens=3, echo=True, temperature=0)
    answer: Any = await engine.completion(request)
    assert [choice.text[:3] for choice in answer.choices] == ["One", "Two"]
    request = CompletionRequest(model="tutorial", prompt="One", max_tokens=3, logprobs=2, **WHOLE)
    scored: Any = await engine.completion(request)
    assert len(scored.choices[0].logprobs.tokens) == 3
    stream: Any = await engine.completion(
        CompletionRequest(model="tutorial", prompt="One", max_tokens=3, stream=True, **WHOLE)
    )
    assert [piece async for piece in stream][-1].usage.completion_tokens == 3


async def test_too_long_a_prompt_says_how_much_there_is(engine: LlamaCpp) -> None:
    with pytest.raises(ContextTooLong, match="2048") as caught:
        await said(engine, ask("word " * 5000))
    assert "n_ctx" in (caught.value.hint or "")
    assert "Hello" in await said(engine, ask())


async def test_log_probabilities_without_alternatives(engine: LlamaCpp) -> None:
    answer: Any = await engine.chat_completion(ask(logprobs=True, max_tokens=3, **WHOLE))
    assert [token.top_logprobs for token in answer.choices[0].logprobs.content] == [[], [], []]


async def test_any_object_comes_to_an_end(engine: LlamaCpp) -> None:
    for text in ("Hello", "Give me a JSON object about Oslo"):
        answer = await said(engine, ask(text, response_format={"type": "json_object"}, temperature=1.2, seed=1))
        assert isinstance(json.loads(answer), dict)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cut_off_before_its_name(engine: LlamaCpp, stream: bool) -> None:
    request = ask("What is 1 + 2?", tools=[CALCULATOR], tool_choice="required", max_tokens=3, stream=stream)
    answer: Any = await engine.chat_completion(request)
    chunks = [chunk async for chunk in answer] if stream else [answer]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == ["length"]


async def test_references_inside_a_tool(engine: LlamaCpp) -> None:
    properties = {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/$defs/seven"}}
    parameters = {"type": "object", "properties": properties, "required": ["a", "b"], "$defs": {"seven": {"enum": [7]}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    answer: Any = await engine.chat_completion(ask("x", tools=[tool], tool_choice="required"))
    assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {"a": 7, "b": 7}


async def test_lone_surrogates_do_no_harm(engine: LlamaCpp) -> None:
    assert await said(engine, ask("hi \ud83d there", max_tokens=4))


# ---- embeddings -----------------------------------------------------------------------------------------------------


async def test_embeddings_of_an_encoder(tmp_path: Path) -> None:
    from stack_core.providers.inference.minilm import MiniLM

    path = convert(fetch(), tmp_path / "minilm.gguf")
    texts = ["Hello world", "What is the capital of France?", "naïve café"]
    async with (
        build(model_path=str(path), embedding=True) as provider,
        MiniLM(MiniLM.Config(), ProviderId("minilm")) as minilm,
    ):
        got = await provider.embeddings(EmbeddingRequest(model="minilm", input=texts))
        expected = await minilm.embeddings(EmbeddingRequest(model="all-MiniLM-L6-v2", input=texts))
        ours, theirs = (np.array([row.embedding for row in rows.data]) for rows in (got, expected))
        assert ((ours * theirs).sum(1) > 0.9999).all()
        assert got.usage.prompt_tokens == expected.usage.prompt_tokens
        with pytest.raises(ContextTooLong):
            await provider.embeddings(EmbeddingRequest(model="minilm", input="word " * 3000))
        with pytest.raises(Unsupported, match="cannot rerank"):
            await provider.rerank(RerankRequest(model="minilm", query="a", items=["b"]))
