"""The real `openai` SDK and the real `llama-stack-client` with its `Agent` helper, over HTTP and in process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest

from stack_core.transport import in_process_transport
from tests.stack_core.running import WORDS, Fact, Running, running_stack, wait_for

pytestmark = pytest.mark.slow
HOW = ["http", "in process"]
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    with running_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture(params=HOW)
def client(request: pytest.FixtureRequest, running: Running) -> Iterator[openai.OpenAI]:
    """OpenAI's."""
    transport = in_process_transport(running.stack, httpx2) if request.param == "in process" else None
    with httpx2.Client(transport=transport) as http:
        yield openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0, http_client=http)


@pytest.fixture(params=HOW)
def llama(request: pytest.FixtureRequest, running: Running) -> Iterator[Any]:
    """Llama Stack's."""
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    transport = in_process_transport(running.stack, httpx) if request.param == "in process" else None
    with httpx.Client(transport=transport) as http:
        yield package.LlamaStackClient(base_url=running.url, max_retries=0, http_client=http)


def test_create_retrieve_list_delete(client: openai.OpenAI) -> None:
    made = client.responses.create(model="up/tiny", input="hi", instructions="Be brief.")
    assert (made.status, made.output_text) == ("completed", WORDS)
    assert made.usage and made.usage.total_tokens == 8
    assert client.responses.retrieve(made.id).output_text == WORDS
    following = client.responses.create(model="up/tiny", input="echo:more", previous_response_id=made.id)
    assert (following.output_text, following.previous_response_id) == ("more", made.id)
    items = list(client.responses.input_items.list(following.id, order="asc", limit=1))
    assert [item.type for item in items] == ["message", "message", "message"]
    client.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.retrieve(made.id)


def test_create_streamed(client: openai.OpenAI) -> None:
    with client.responses.create(model="up/tiny", input="hi", stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == WORDS
    assert events[-1].type == "response.completed" and events[-1].response.output_text == WORDS
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_events_are_named_on_the_wire(running: Running) -> None:
    body = {"model": "up/tiny", "input": "hi", "stream": True}
    text = httpx.post(f"{running.url}/v1/responses", json=body).text
    lines = [line for line in text.splitlines() if line]
    named = [line.removeprefix("event: ") for line in lines[:-1:2]]
    assert named == [json.loads(line.removeprefix("data: "))["type"] for line in lines[1:-1:2]]
    assert (named[0], named[-1], lines[-1]) == ("response.created", "response.completed", "data: [DONE]")


def test_the_stream_helper(client: openai.OpenAI) -> None:
    with client.responses.stream(model="up/tiny", input="fact", text_format=Fact) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_parsed == Fact(name="text", count=7)


def test_structured_answers(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model="up/tiny", input="fact", text_format=Fact)
    assert parsed.output_parsed == Fact(name="text", count=7)


@pytest.mark.parametrize("chained", [True, False])
def test_a_loop_of_function_tools(client: openai.OpenAI, chained: bool) -> None:
    items: Any = [{"role": "user", "content": "Weather in Oslo?"}]
    first = client.responses.create(model="up/tiny", input=items, tools=[WEATHER])
    (made,) = first.output
    assert made.type == "function_call" and json.loads(made.arguments) == {"city": "x"}
    output: Any = {"type": "function_call_output", "call_id": made.call_id, "output": "sun"}
    if chained:
        done = client.responses.create(model="up/tiny", input=[output], tools=[WEATHER], previous_response_id=first.id)
    else:
        done = client.responses.create(model="up/tiny", input=[*items, *first.output, output], tools=[WEATHER])
    assert done.output_text == WORDS


def test_conversations(client: openai.OpenAI) -> None:
    conversation = client.conversations.create()
    client.responses.create(model="up/tiny", input="hi", conversation=conversation.id)
    items = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.role for item in items if item.type == "message"] == ["user", "assistant"]


def test_the_background(client: openai.OpenAI) -> None:
    made = client.responses.create(model="up/tiny", input="hi", background=True)
    assert made.status in ("queued", "in_progress")
    assert wait_for(lambda: client.responses.retrieve(made.id).status == "completed")
    with client.responses.retrieve(made.id, stream=True, starting_after=2) as stream:
        assert next(event.sequence_number for event in stream) == 3
    assert client.responses.cancel(made.id).status == "completed"


def test_tokens_and_compaction(client: openai.OpenAI) -> None:
    assert client.responses.input_tokens.count(model="up/tiny", input="hi").input_tokens == 4
    pressed = client.responses.compact(model="up/tiny", input="hi")
    again: Any = [item.model_dump(exclude_none=True) for item in pressed.output]
    more: Any = [*again, {"role": "user", "content": "echo:on"}]
    assert client.responses.create(model="up/tiny", input=more).output_text == "on"


def test_errors_have_their_statuses(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="nope"):
        client.responses.create(model="up/nope", input="hi")
    with pytest.raises(openai.NotFoundError, match="nope"):
        client.responses.create(model="up/nope", input="hi", stream=True)
    with pytest.raises(openai.BadRequestError, match="resp_x"):
        client.responses.create(model="up/tiny", input="hi", previous_response_id="resp_x")
    with pytest.raises(openai.APIStatusError, match="web_search") as caught:
        client.responses.create(model="up/tiny", input="hi", tools=[{"type": "web_search"}])
    assert caught.value.status_code == 501


def test_an_upstream_that_breaks_is_a_failed_event(client: openai.OpenAI) -> None:
    with client.responses.create(model="up/tiny", input="break:3", stream=True) as stream:
        events = list(stream)
    last = events[-1]
    assert last.type == "response.failed" and last.response.error
    assert last.response.error.code == "server_error"
    kept = client.responses.retrieve(last.response.id)
    assert (kept.status, kept.output_text) == ("failed", "w0 w1 ")
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="up/tiny", input="break:3")
    assert caught.value.status_code in (502, 503)


def test_a_field_that_is_not_known_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="upstream"):
        client.responses.create(model="up/tiny", input="hi", extra_body={"upstream": 1})


def test_llama_responses(llama: Any) -> None:
    made = llama.responses.create(model="up/tiny", input="hi")
    assert made.output_text == WORDS
    assert llama.responses.retrieve(made.id).id == made.id
    assert made.id in [row.id for row in llama.responses.list(limit=5)]
    assert [item.role for item in llama.responses.input_items.list(made.id).data] == ["user"]
    events = list(llama.responses.create(model="up/tiny", input="hi", stream=True))
    assert events[-1].type == "response.completed"
    llama.responses.delete(made.id)


@pytest.mark.parametrize("stream", [True, False])
def test_llama_agent_helper_with_a_tool_of_the_client(llama: Any, stream: bool) -> None:
    from llama_stack_client import NOT_GIVEN, Agent

    called: list[str] = []

    def weather(city: str) -> str:
        """The weather of a city.

        :param city: its name
        """
        called.append(city)
        return "sun"

    agent = Agent(llama, model="up/tiny", instructions="Be brief.", tools=[weather])
    session = agent.create_session("s")
    turn = agent.create_turn([{"role": "user", "content": "Weather?"}], session_id=session, stream=stream)
    if stream:
        chunks = list(turn)
        assert type(chunks[-1].event).__name__ == "TurnCompleted"
        assert chunks[-1].event.final_text == WORDS
        turn = chunks[-1].response
    assert turn.output_text == WORDS
    assert called == ["x"]
    items = llama.conversations.items.list(session, after=NOT_GIVEN, include=[], limit=20, order="asc")
    assert [item.type for item in items.data] == [
        "message", "function_call", "function_call_output", "message"
    ]  # fmt: skip
