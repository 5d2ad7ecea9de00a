"""The real SDKs against a real stack with a real upstream service: over HTTP, and in process without a port."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import httpx2
import openai
import pytest
from pydantic import BaseModel

from stack_core import Stack, StackClient
from stack_core.errors import NotFound
from stack_core.transport import in_process_transport
from tests.stack_core.probe import serving
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.slow

HI: list[Any] = [{"role": "user", "content": "hi"}]
ECHO: list[Any] = [{"role": "user", "content": "echo:hello there"}]
WORDS = "w0 w1 w2 w3 "
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Running(NamedTuple):
    """A stack on a loop in a thread of its own, its URL, and the service behind it."""

    stack: Any
    url: str
    service: Upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    folder = tmp_path_factory.mktemp("stack")
    with upstream(chunks=4) as service:
        entry = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"url": service.url}}
        storage = {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {"metadata": {"backend": "kv"}, "inference": {"backend": "sql"}},
        }
        config = {"image_name": "sdk", "providers": {"inference": [entry]}, "storage": storage}
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        exits = AsyncExitStack()

        async def start() -> tuple[Any, str]:
            stack = await exits.enter_async_context(Stack.open(config))
            return stack, await exits.enter_async_context(serving(stack))

        try:
            stack, url = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
            yield Running(stack, url, service)
        finally:
            asyncio.run_coroutine_threadsafe(exits.aclose(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# ---- openai -------------------------------------------------------------------------------------------------------


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


class Fact(BaseModel):
    """What the JSON schema test asks for."""

    name: str
    count: int


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


# ---- llama-stack-client -------------------------------------------------------------------------------------------


@pytest.fixture(params=["http", "in process"])
def llama(request: pytest.FixtureRequest, running: Running) -> Iterator[Any]:
    """Llama Stack's own client."""
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    import httpx

    made: dict[str, Any] = {"base_url": running.url}
    if request.param == "in process":
        transport = in_process_transport(running.stack, httpx)
        made = {"base_url": "http://stack", "http_client": httpx.Client(transport=transport)}
    with package.LlamaStackClient(max_retries=0, **made) as found:
        yield found


def test_llama_models(llama: Any) -> None:
    rows = {model.identifier: model for model in llama.models.list()}
    assert rows.keys() >= {"up/tiny", "up/other", "up/embed"}
    assert (rows["up/tiny"].provider_id, rows["up/tiny"].provider_resource_id) == ("up", "tiny")
    assert llama.models.retrieve("up/tiny").identifier == "up/tiny"


def test_llama_registers_a_model_under_a_name_of_its_own(llama: Any) -> None:
    made = llama.models.register(model_id="mine", provider_id="up", provider_model_id="tiny", model_type="llm")
    assert made.identifier == "mine"
    answer = llama.chat.completions.create(model="mine", messages=ECHO)
    assert answer.choices[0].message.content == "hello there"
    llama.models.unregister("mine")
    with pytest.raises(Exception, match="404"):
        llama.models.retrieve("mine")


def test_llama_chat(llama: Any) -> None:
    answer = llama.chat.completions.create(model="up/tiny", messages=HI)
    assert answer.choices[0].message.content == WORDS
    stream = llama.chat.completions.create(model="up/tiny", messages=HI, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == WORDS


def test_llama_tools_and_json_schema(llama: Any) -> None:
    answer = llama.chat.completions.create(model="up/tiny", messages=HI, tools=[WEATHER])
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    schema = {"name": "fact", "schema": Fact.model_json_schema()}
    answer = llama.chat.completions.create(
        model="up/tiny", messages=HI, response_format={"type": "json_schema", "json_schema": schema}
    )
    assert Fact.model_validate_json(answer.choices[0].message.content) == Fact(name="text", count=7)


def test_llama_embeddings_and_completions(llama: Any) -> None:
    assert llama.embeddings.create(model="up/embed", input="abc").data[0].embedding[:2] == [3.0, 4.0]
    assert llama.completions.create(model="up/tiny", prompt="once").choices[0].text == WORDS


def test_llama_providers_and_the_stack_about_itself(llama: Any) -> None:
    assert [(row.provider_id, row.api) for row in llama.providers.list()] == [("up", "inference")]
    assert llama.providers.retrieve("up").provider_type == "remote::vllm"
    assert llama.inspect.health().status == "OK"
    assert llama.inspect.version().version
    assert "/v1/chat/completions" in {row.route for row in llama.routes.list()}


def test_llama_errors(llama: Any) -> None:
    import llama_stack_client

    with pytest.raises(llama_stack_client.NotFoundError) as unknown:
        llama.chat.completions.create(model="up/nothing-of-this", messages=HI)
    assert "not found" in unknown.value.body["detail"]
    with pytest.raises(llama_stack_client.BadRequestError) as wrong:
        llama.chat.completions.create(model="up/tiny", messages=HI, temperature=9)
    assert wrong.value.body["error"]["detail"]["errors"][0]["loc"] == ["temperature"]


def test_llama_provider_keys_reach_the_service(llama: Any, running: Running) -> None:
    keyed = llama.with_options(default_headers={"X-LlamaStack-Provider-Data": '{"vllm_api_token": "mine-123456"}'})
    keyed.chat.completions.create(model="up/tiny", messages=HI)
    assert running.service.requests()[-1]["headers"].get("authorization") == "Bearer mine-123456"


# ---- our own client -----------------------------------------------------------------------------------------------


async def test_our_client_gives_what_the_stack_gives_in_process(running: Running) -> None:
    def here(made: Any) -> Any:
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(made, running.stack.loop))

    async def streamed(door: Any) -> list[Any]:
        stream = await door.inference.chat_completion(model="up/tiny", messages=HI, stream=True)
        return [piece async for piece in stream]

    async with StackClient(running.url) as far:
        assert await far.models.list_models() == await here(running.stack.models.list_models())
        asked = {"model": "up/tiny", "messages": ECHO}
        whole = await far.inference.chat_completion(**asked)
        assert whole.choices == (await here(running.stack.inference.chat_completion(**asked))).choices
        near, remote = await here(streamed(running.stack)), await streamed(far)
        assert [piece.choices for piece in remote] == [piece.choices for piece in near]
        for door in (far, running.stack):
            call = door.inference.chat_completion(model="up/nothing-of-this", messages=HI)
            with pytest.raises(NotFound, match="nothing-of-this"):
                await (call if door is far else here(call))
