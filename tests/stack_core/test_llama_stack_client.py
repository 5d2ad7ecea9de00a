"""The real `llama-stack-client`, over HTTP and in process; and ours beside the stack itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from stack_core import AsyncStackClient
from stack_core.errors import NotFound
from stack_core.transport import in_process_transport
from tests.stack_core.running import ECHO, HI, WEATHER, WORDS, Fact, Running, running_stack

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    with running_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


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
    assert ("up", "inference") in {(row.provider_id, row.api) for row in llama.providers.list()}
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


async def test_our_client_gives_what_the_stack_gives_in_process(running: Running) -> None:
    def here(made: Any) -> Any:
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(made, running.stack.loop))

    async def streamed(door: Any) -> list[Any]:
        stream = await door.inference.chat_completion(model="up/tiny", messages=HI, stream=True)
        return [piece async for piece in stream]

    async with AsyncStackClient(running.url) as far:
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
