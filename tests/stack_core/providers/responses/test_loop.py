"""The loop's guards: calls that cannot be read, unknown tools, loops and limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from stack_core.apis.inference import Message
from stack_core.errors import ContextTooLong, ProviderError, ProviderUnavailable
from stack_core.turns.shorten import shorter
from tests.stack_core.providers.responses.speaking import Speaking, call

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}

ALLOWED = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "tide"}]}


async def create(stack: Any, **request: Any) -> Any:
    return await stack.responses.create_response(**{"model": "up/m", "input": "hi", **request})


async def test_arguments_that_are_no_json_are_handed_back_once(stack: Any) -> None:
    Speaking.say(call("weather", '{"city": '), call("weather", '{"city": "Oslo"}', id="call_2"))
    response = await create(stack, tools=[WEATHER])
    assert [item.arguments for item in response.output] == ['{"city": "Oslo"}']
    told = Speaking.asked[1].messages[-1]
    assert told.role == "tool" and '{"city":' in str(told.content)
    before = Speaking.asked[1].messages[-2]
    assert (
        before.role == "assistant" and before.tool_calls and json.loads(before.tool_calls[0].function.arguments) == {}
    )
    assert response.usage.output_tokens == 2 + 2


async def test_a_second_time_fails_with_both_texts(stack: Any) -> None:
    Speaking.say(call("weather", "{one"), call("weather", "{two"))
    with pytest.raises(ProviderError, match=r"\{one.*\{two"):
        await create(stack, tools=[WEATHER])
    (row,) = (await stack.responses.list_responses()).data
    assert row.status == "failed" and "{one" in row.error.message


async def test_an_unknown_tool_is_handed_back(stack: Any) -> None:
    Speaking.say(call("wether", "{}"), ["It is fine."])
    response = await create(stack, tools=[WEATHER])
    assert response.output_text == "It is fine."
    assert "there is no tool 'wether'; the tools are: weather" in str(Speaking.asked[1].messages[-1].content)


async def test_no_arguments_are_an_empty_object(stack: Any) -> None:
    Speaking.say(call("weather"))
    (item,) = (await create(stack, tools=[WEATHER])).output
    assert item.arguments == "{}"


async def test_parallel_calls_keep_their_order(stack: Any) -> None:
    first, second = call("weather", '{"n": 1}'), call("weather", '{"n": 2}', id="call_2", index=1)
    mixed = [first[0], second[0], second[1], first[1]]
    Speaking.say(mixed)
    response = await create(stack, tools=[WEATHER], parallel_tool_calls=True)
    assert [(item.call_id, item.arguments) for item in response.output] == [
        ("call_1", '{"n": 1}'),
        ("call_2", '{"n": 2}'),
    ]
    assert Speaking.asked[0].parallel_tool_calls is True


async def test_too_few_tokens(stack: Any) -> None:
    Speaking.say(["cut", {"finish": "length"}])
    response = await create(stack, max_output_tokens=16)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[0].status == "incomplete"
    assert Speaking.asked[0].max_completion_tokens == 16


async def test_a_filter_of_the_service(stack: Any) -> None:
    Speaking.say(["cut", {"finish": "content_filter"}])
    assert (await create(stack)).incomplete_details.reason == "content_filter"


async def test_the_service_breaks_off(stack: Any) -> None:
    Speaking.say(["Hel", ProviderUnavailable("the line is dead", "mend it")])
    stream = await create(stack, stream=True)
    events = [event async for event in stream]
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error.message == "the line is dead (mend it)"
    assert last.response.error.code == "server_error"
    kept = await stack.responses.get_response(last.response.id)
    assert (kept.status, kept.output_text) == ("failed", "Hel")
    assert kept.output[0].status == "incomplete"


async def test_whoever_does_not_stream_gets_the_error(stack: Any) -> None:
    Speaking.say(["Hel", ProviderUnavailable("the line is dead")])
    with pytest.raises(ProviderUnavailable, match="the line is dead"):
        await create(stack)


async def test_a_conversation_that_is_too_long_is_shortened_where_asked(stack: Any) -> None:
    said = [{"role": "user", "content": str(number)} for number in range(8)]
    Speaking.say([ContextTooLong("too long")], [ContextTooLong("too long")], ["ok"])
    response = await create(stack, input=said, instructions="Be brief.", truncation="auto")
    assert response.output_text == "ok"
    assert [message.content for message in Speaking.asked[-1].messages] == ["Be brief.", "3", "4", "5", "6", "7"]
    Speaking.say([ContextTooLong("too long")])
    with pytest.raises(ContextTooLong):
        await create(stack, input=said)
    with pytest.raises(ContextTooLong):
        await create(stack, input=said, truncation="auto")


def test_a_call_goes_with_its_results() -> None:
    given: list[Message] = TypeAdapter(list[Message]).validate_python(
        [
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "user", "content": "next"},
        ]
    )
    assert [message.role for message in shorter(given) or []] == ["user"]
    assert shorter(given[-1:]) is None


@pytest.mark.parametrize(
    ("choice", "sent", "offered"),
    [
        ("none", "none", {"weather", "tide"}),
        ("required", "required", {"weather", "tide"}),
        ({"type": "function", "name": "tide"}, "tide", {"weather", "tide"}),
        (ALLOWED, "required", {"tide"}),
    ],
)
async def test_tool_choices(stack: Any, choice: Any, sent: str, offered: set[str]) -> None:
    Speaking.say(["ok"])
    response = await create(stack, tools=[WEATHER, {**WEATHER, "name": "tide"}], tool_choice=choice)
    asked = Speaking.asked[0]
    got = asked.tool_choice if isinstance(asked.tool_choice, str) else asked.tool_choice.function.name  # type: ignore[union-attr]  # named
    assert got == sent
    assert {tool.function.name for tool in asked.tools or () if tool.function} == offered
    assert response.model_dump()["tool_choice"] == choice
