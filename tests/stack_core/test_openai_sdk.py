"""The real `openai` SDK: over HTTP, and in process without a port."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from stack_core import Stack
from stack_core.transport import in_process_transport
from tests.stack_core.running import ECHO, HI, WEATHER, WORDS, Fact, Running, running_stack, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    with running_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture(params=["http", "in process"])
def client(request: pytest.FixtureRequest, running: Running) -> Iterator[openai.OpenAI]:
    """The synchronous SDK."""
    made = _options(request.param, running)
    if "http_client" in made:
        made["http_client"] = httpx2.Client(transport=made["http_client"])
    with openai.OpenAI(api_key="none", max_retries=0, **made) as found:
        yield found


@pytest.fixture(params=["http", "in process"])
async def aclient(request: pytest.FixtureRequest, running: Running) -> Any:
    """The asynchronous SDK, on another loop than the stack's."""
    made = _options(request.param, running)
    if "http_client" in made:
        made["http_client"] = httpx2.AsyncClient(transport=made["http_client"])
    async with openai.AsyncOpenAI(api_key="none", max_retries=0, **made) as found:
        yield found


def _options(how: str, running: Running) -> dict[str, Any]:
    if how == "http":
        return {"base_url": f"{running.url}/v1"}
    return {"base_url": "http://stack/v1", "http_client": in_process_transport(running.stack, httpx2)}


def test_openai_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"up/tiny", "up/other", "up/embed"}
    assert client.models.retrieve("up/tiny").owned_by == "up"


def test_openai_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="up/tiny", messages=HI)
    assert answer.choices[0].message.content == WORDS
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "up/tiny")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 8


def test_openai_chat_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="up/tiny", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == WORDS
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert [c.usage.total_tokens for c in chunks if c.usage] == [8]
    assert chunks[-1].choices == []


def test_openai_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="up/tiny", messages=HI, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "tool_calls"
    message = answer.choices[0].message
    assert message.content is None
    call: Any = message.tool_calls and message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "x"}')
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    last = client.chat.completions.create(
        model="up/tiny",
        messages=[*HI, message.to_dict(), result],
        tools=[WEATHER],  # type: ignore[list-item]  # as the SDK's guide does
    )
    assert last.choices[0].message.content == WORDS


def test_openai_puts_a_streamed_tool_call_together(client: openai.OpenAI) -> None:
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    with client.chat.completions.stream(model="up/tiny", messages=HI, tools=[strict]) as stream:  # type: ignore[list-item]  # a plain mapping
        answer = stream.get_final_completion()
    call: Any = answer.choices[0].message.tool_calls and answer.choices[0].message.tool_calls[0]
    assert (call.id, call.type, call.function.name) == ("call_1", "function", "weather")
    assert call.function.arguments == '{"city": "x"}'


def test_openai_json_schema(client: openai.OpenAI, running: Running) -> None:
    answer = client.chat.completions.parse(model="up/tiny", messages=HI, response_format=Fact)
    assert answer.choices[0].message.parsed == Fact(name="text", count=7)
    asked = running.service.requests()[-1]["body"]["response_format"]
    assert asked["json_schema"]["schema"]["properties"].keys() == {"name", "count"}


def test_openai_embeddings(client: openai.OpenAI) -> None:
    for options in ({}, {"encoding_format": "float"}):
        rows = client.embeddings.create(model="up/embed", input=["ab", "abc"], **options).data  # type: ignore[arg-type]  # a literal in a mapping
        assert [row.embedding[:2] for row in rows] == [[2.0, 3.0], [3.0, 4.0]]


def test_openai_completions(client: openai.OpenAI) -> None:
    assert client.completions.create(model="up/tiny", prompt="once").choices[0].text == WORDS
    pieces = client.completions.create(model="up/tiny", prompt="once", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == WORDS


def test_openai_stored_completions(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="up/tiny", messages=ECHO, store=True)
    listed = client.chat.completions.list(model="up/tiny", limit=5)
    assert made.id in {row.id for row in listed}
    assert client.chat.completions.retrieve(made.id).choices[0].message.content == "hello there"


def test_openai_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="up/nothing-of-this", messages=HI)
    assert unknown.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="up/tiny", messages=HI, temperature=9)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")
    with pytest.raises(openai.RateLimitError) as slow:
        client.chat.completions.create(model="up/tiny", messages=HI, extra_body={"upstream": {"status": 429}})
    assert slow.value.response.headers["retry-after"] == "7"


def test_openai_error_inside_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="up/tiny", messages=HI, stream=True, extra_body={"upstream": {"break_after": 2}}
    )
    seen = []
    with pytest.raises(openai.APIError):
        for chunk in stream:
            seen.append(chunk)
    assert seen


def test_openai_leaving_a_stream_stops_the_service(client: openai.OpenAI, running: Running) -> None:
    running.service.reset()
    slow = {"upstream": {"chunks": 500, "delay": 0.05}}
    with client.chat.completions.create(model="up/tiny", messages=HI, stream=True, extra_body=slow) as stream:
        next(iter(stream))
    assert wait_for(lambda: running.service.requests()[-1]["state"] == "gone")


async def test_async_openai(aclient: openai.AsyncOpenAI) -> None:
    answer = await aclient.chat.completions.create(model="up/tiny", messages=ECHO)
    assert answer.choices[0].message.content == "hello there"
    stream = await aclient.chat.completions.create(model="up/tiny", messages=HI, stream=True)
    assert "".join([c.choices[0].delta.content or "" async for c in stream if c.choices]) == WORDS
    with pytest.raises(openai.NotFoundError):
        await aclient.chat.completions.create(model="nothing", messages=HI)


async def test_async_openai_leaving_a_stream_stops_the_service(aclient: openai.AsyncOpenAI, running: Running) -> None:
    running.service.reset()
    slow = {"upstream": {"chunks": 500, "delay": 0.05}}
    async with await aclient.chat.completions.create(
        model="up/tiny", messages=HI, stream=True, extra_body=slow
    ) as stream:
        await anext(aiter(stream))
    assert await asyncio.to_thread(wait_for, lambda: running.service.requests()[-1]["state"] == "gone")


async def test_many_at_once(aclient: openai.AsyncOpenAI) -> None:
    async def ask(number: int) -> str | None:
        text: list[Any] = [{"role": "user", "content": f"echo:{number}"}]
        return (await aclient.chat.completions.create(model="up/tiny", messages=text)).choices[0].message.content

    assert await asyncio.gather(*(ask(number) for number in range(64))) == [str(number) for number in range(64)]


@pytest.mark.parametrize("stream", [True, False])
def test_an_interrupt_stops_the_service(running: Running, stream: bool) -> None:
    def interrupt() -> None:
        assert wait_for(lambda: running.service.requests() != [])
        os.kill(os.getpid(), signal.SIGINT)

    running.service.reset()
    slow = {"upstream": {"chunks": 500, "delay": 0.05 if stream else 20}}
    transport = in_process_transport(running.stack, httpx2)
    client = openai.OpenAI(base_url="http://stack/v1", api_key="none", http_client=httpx2.Client(transport=transport))
    thread = threading.Thread(target=interrupt)
    thread.start()
    with client, pytest.raises(KeyboardInterrupt):
        answer = client.chat.completions.create(model="up/tiny", messages=HI, stream=stream, extra_body=slow)
        for _ in answer:
            pass
    thread.join()
    assert wait_for(lambda: running.service.requests()[-1]["state"] == "gone")


def test_a_client_in_process_cannot_block_the_stacks_own_loop(running: Running) -> None:
    async def on_the_loop() -> None:
        transport = in_process_transport(running.stack, httpx2)
        with httpx2.Client(transport=transport, base_url="http://stack") as http:
            http.get("/v1/health")

    with pytest.raises(Exception, match="would wait for itself"):
        asyncio.run_coroutine_threadsafe(on_the_loop(), running.stack.loop).result(5)


def test_a_closed_stack_refuses_the_connection() -> None:
    async def opened() -> Any:
        async with Stack.open({"providers": {}, "name": "short"}) as stack:
            return in_process_transport(stack, httpx2)

    with httpx2.Client(transport=asyncio.run(opened())) as http, pytest.raises(httpx2.ConnectError, match="closed"):
        http.get("http://stack/v1/health")


def test_a_response_that_nobody_has_stops_the_service(running: Running) -> None:
    running.service.reset()
    transport = in_process_transport(running.stack, httpx2)
    body = {"model": "up/tiny", "messages": HI, "stream": True, "upstream": {"chunks": 500, "delay": 0.05}}
    request = httpx2.Request("POST", "http://stack/v1/chat/completions", json=body)
    response = transport.handle_request(request)
    assert response.status_code == 200
    del response, request
    gc.collect()
    assert wait_for(lambda: running.service.requests()[-1]["state"] == "gone")
