"""What every provider of responses must do, whatever makes them. A new one joins by one entry in `PROVIDERS`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.context import User
from stack_core.errors import InvalidRequest, NotFound, UnknownId
from tests.stack_core.providers.responses.speaking import Speaking, call, run_file

PROVIDERS: dict[str, dict[str, Any]] = {"inline::builtin": {}}
"""Type → config."""
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


@pytest.fixture(params=PROVIDERS)
async def stack(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """A stack that has the provider, and a model that says what it is told to."""
    entry = {"provider_id": "it", "provider_type": request.param, "config": PROVIDERS[request.param]}
    Speaking.say(["Hel", "lo"])
    async with Stack.open(run_file(tmp_path, providers={"responses": [entry]})) as found:
        yield found


async def _create(stack: Any, **request: Any) -> Any:
    return await stack.responses.create_response(**{"model": "up/m", "input": "hi", **request})


async def test_an_answer(stack: Any) -> None:
    made = await _create(stack)
    assert (made.object, made.status, made.model) == ("response", "completed", "up/m")
    (message,) = made.output
    assert (message.type, message.role, message.content[0].text) == ("message", "assistant", "Hello")
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    assert (await stack.responses.get_response(made.id)).model_dump() == made.model_dump()


async def test_events_have_numbers_and_end_with_the_response(stack: Any) -> None:
    events = [event async for event in await _create(stack, stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1].response
    assert "".join(deltas) == last.output[0].content[0].text == "Hello"
    assert (await stack.responses.get_response(last.id)).model_dump() == last.model_dump()


async def test_a_tool_of_the_caller(stack: Any) -> None:
    Speaking.say(call("weather", "{}"), ["Fine"])
    first = await _create(stack, tools=[WEATHER])
    (item,) = first.output
    assert (item.type, item.name, item.arguments, item.status) == ("function_call", "weather", "{}", "completed")
    output = {"type": "function_call_output", "call_id": item.call_id, "output": "sun"}
    second = await _create(stack, input=[output], previous_response_id=first.id, tools=[WEATHER])
    assert (second.output[0].content[0].text, second.previous_response_id) == ("Fine", first.id)


async def test_list_input_items_and_delete(stack: Any) -> None:
    made = await _create(stack, input=[{"role": "user", "content": "a"}])
    assert [row.id for row in (await stack.responses.list_responses()).data] == [made.id]
    (item,) = (await stack.responses.list_input_items(made.id)).data
    assert (item.role, item.content[0].text) == ("user", "a")
    assert (await stack.responses.delete_response(made.id)).deleted
    with pytest.raises(UnknownId):
        await stack.responses.get_response(made.id)


async def test_the_background(stack: Any) -> None:
    made = await _create(stack, background=True)
    assert made.status == "queued"
    async for _ in await stack.responses.get_response(made.id, stream=True):
        pass
    assert (await stack.responses.get_response(made.id)).status == "completed"


async def test_owners(stack: Any) -> None:
    with context.request_scope(caller=User("ann")):
        made = await _create(stack)
    with context.request_scope(caller=User("bob")), pytest.raises(UnknownId):
        await stack.responses.get_response(made.id)


async def test_what_is_wrong_has_its_error(stack: Any) -> None:
    with pytest.raises(NotFound) as caught:
        await _create(stack, model="up/nope")
    assert caught.value.status == 404
    with pytest.raises(UnknownId):
        await _create(stack, previous_response_id="resp_1")
    with pytest.raises(InvalidRequest):
        await _create(stack, previous_response_id="resp_1", conversation="conv_1")
