"""Turns: the order of their events, tools of the stack and of the caller, limits and faults."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stack_core.errors import Conflict, InvalidRequest, NotFound, ProviderUnavailable
from tests.stack_core.providers.agents.workshop import Workshop, events, session, shape, turn
from tests.stack_core.providers.responses.speaking import Speaking, call

WEATHER = {"name": "weather", "description": "The weather.", "input_schema": {"type": "object", "properties": {}}}
ONE_STEP = ["step_start inference", "step_progress inference", "step_complete inference"]


async def test_the_order_of_events(stack: Any) -> None:
    Speaking.say([{"reasoning_content": "hm"}, "Hel", "lo"])
    place = await session(stack)
    got = await events(stack, place)
    assert shape(got) == [
        "turn_start", "step_start inference", "step_progress inference", "step_progress inference",
        "step_complete inference", "turn_complete",
    ]  # fmt: skip
    whole = got[-1].turn
    assert (got[0].turn_id, got[1].step_id) == (whole.turn_id, got[4].step_id)
    assert "".join(one.delta.text for one in got[2:4]) == whole.output_message.content == "Hello"
    assert whole.output_message.stop_reason == "end_of_turn" and whole.completed_at >= whole.started_at
    assert await stack.agents.get_agents_turn(whole.turn_id, **place) == whole
    asked = Speaking.asked[0].messages
    assert [(message.role, message.content) for message in asked] == [("system", "Be brief."), ("user", "hi")]


async def test_a_tool_of_a_group(stack: Any) -> None:
    Speaking.say(call("add", '{"a": 1}'), ["Three"], ["And again"])
    place = await session(stack, toolgroups=[{"name": "maths/add", "args": {"b": 2}}])
    got = await events(stack, place)
    tool = ["step_start tool_execution", "step_progress tool_execution", "step_complete tool_execution"]
    assert shape(got) == ["turn_start", *ONE_STEP, *tool, *ONE_STEP, "turn_complete"]
    assert (got[2].delta.parse_status, got[2].delta.tool_call.arguments) == ("succeeded", '{"a": 1}')
    assert [request.kwargs for request in Workshop.called] == [{"a": 1, "b": 2}]
    step = got[6].step_details
    assert (step.tool_responses[0].content, step.tool_responses[0].metadata) == ("3", {"exact": True})
    (offered,) = Speaking.asked[0].tools
    assert list(offered.function.parameters["properties"]) == ["a"]
    found = await stack.agents.get_agents_step(step.step_id, turn_id=got[-1].turn.turn_id, **place)
    assert found.step == step
    await turn(stack, place, "more")
    roles = [message.role for message in Speaking.asked[-1].messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_a_tool_that_breaks_is_told_to_the_model(stack: Any) -> None:
    Speaking.say(call("break", "{}"), ["Sorry"])
    whole = await turn(stack, await session(stack, toolgroups=["maths"]))
    assert whole.output_message.content == "Sorry"
    assert "the hammer is gone" in Speaking.asked[1].messages[-1].content


async def test_a_wrong_call_is_a_step_too(stack: Any) -> None:
    Speaking.say(call("ad", "{}"), ["Sorry"])
    got = await events(stack, await session(stack, toolgroups=["maths"]))
    assert shape(got)[4:6] == ["step_start tool_execution", "step_complete tool_execution"]
    assert "no tool 'ad'" in got[5].step_details.tool_responses[0].content


async def test_a_tool_of_the_caller(stack: Any) -> None:
    Speaking.say(call("weather", "{}"), ["Sunny"], ["Bye"])
    place = await session(stack, client_tools=[WEATHER], tool_config={"tool_choice": "required"})
    got = await events(stack, place)
    assert shape(got)[4:] == ["step_start tool_execution", "step_progress tool_execution", "turn_awaiting_input"]
    waiting = got[-1].turn
    assert waiting.output_message.tool_calls[0].tool_name == "weather" and waiting.completed_at is None
    answer = {"call_id": "call_1", "tool_name": "weather", "content": "sun"}
    on = {"turn_id": waiting.turn_id, **place}
    with pytest.raises(InvalidRequest, match="waits for call_1"):
        await stack.agents.resume_agent_turn(**on, tool_responses=[])
    stream = await stack.agents.resume_agent_turn(**on, tool_responses=[answer], stream=True)
    rest = [chunk.event.payload async for chunk in stream]
    assert shape(rest) == ["step_complete tool_execution", *ONE_STEP, "turn_complete"]
    assert rest[0].step_id == got[4].step_id
    assert [step.step_type for step in rest[-1].turn.steps] == ["inference", "tool_execution", "inference"]
    assert [asked.tool_choice for asked in Speaking.asked] == ["required", None]
    with pytest.raises(Conflict, match="does not wait"):
        await stack.agents.resume_agent_turn(**on, tool_responses=[answer])
    found = await stack.agents.get_agents_session(**place)
    assert [one.turn_id for one in found.turns] == [waiting.turn_id]


async def test_a_call_that_was_never_answered(stack: Any) -> None:
    Speaking.say(call("weather", "{}"), ["Fine"])
    place = await session(stack, client_tools=[WEATHER])
    waiting = await turn(stack, place)
    await turn(stack, place, "never mind")
    assert "went on without" in Speaking.asked[1].messages[3].content
    answer = {"call_id": "call_1", "tool_name": "weather", "content": "sun"}
    with pytest.raises(Conflict, match="has gone on"):
        await stack.agents.resume_agent_turn(turn_id=waiting.turn_id, **place, tool_responses=[answer])
    with pytest.raises(InvalidRequest, match="no call x waits"):
        await turn(stack, place, messages=[{"role": "tool", "call_id": "x", "content": "y"}])


async def test_the_limit_of_calls(stack: Any) -> None:
    Speaking.say(call("add", '{"a": 1, "b": 1}'), call("add", '{"a": 2, "b": 1}'), ["Never said"])
    whole = await turn(stack, await session(stack, toolgroups=["maths"], max_infer_iters=2))
    assert len(Speaking.asked) == 2 and "max_infer_iters" in whole.output_message.content


async def test_a_turn_that_breaks_off_is_not_kept(stack: Any) -> None:
    Speaking.say(["Half", ProviderUnavailable("gone")], ["Whole"])
    place = await session(stack)
    with pytest.raises(ProviderUnavailable):
        await events(stack, place)
    await turn(stack, place)
    assert len((await stack.agents.get_agents_session(**place)).turns) == 1
    with pytest.raises(NotFound):
        await turn(stack, await session(stack, model="up/nope"))


async def test_turns_of_one_session_come_one_after_another(stack: Any) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()
    Speaking.say([asked.set, gate, "one"], ["two"], ["three"])
    place, other = await session(stack), await session(stack)
    first = asyncio.create_task(turn(stack, place, "a"))
    await asked.wait()
    second = asyncio.create_task(turn(stack, place, "b"))
    assert (await turn(stack, other, "c")).output_message.content == "two"
    gate.set()
    assert [(await task).output_message.content for task in (first, second)] == ["one", "three"]
    assert [message.content for message in Speaking.asked[-1].messages] == ["Be brief.", "a", "one", "b"]


async def test_many_sessions_at_once(stack: Any) -> None:
    Speaking.say(["hello"])
    first = await session(stack)
    agent = first["agent_id"]
    made = [await stack.agents.create_agent_session(agent, session_name=str(n)) for n in range(20)]
    places = [{"agent_id": agent, "session_id": one.session_id} for one in made]
    turns = await asyncio.gather(*(turn(stack, place, f"number {n}") for n, place in enumerate(places)))
    assert [one.input_messages[0].content for one in turns] == [f"number {n}" for n in range(20)]
    assert all(len(asked.messages) == 2 for asked in Speaking.asked)


async def test_a_stream_that_is_left_early_leaves_the_session_usable(stack: Any) -> None:
    Speaking.say(["a", "b"], ["whole"])
    place = await session(stack)
    stream = await turn(stack, place, stream=True)
    async for chunk in stream:
        if chunk.event.payload.event_type == "step_progress":
            break
    await stream.aclose()
    assert Speaking.closed == 1
    assert (await turn(stack, place)).output_message.content == "whole"
    assert len((await stack.agents.get_agents_session(**place)).turns) == 1


@pytest.mark.parametrize("shields", [[], ["watch"]])
@pytest.mark.parametrize("cuts", range(8))
async def test_the_text_is_streamed_once(stack: Any, cuts: int, shields: list[str]) -> None:
    text, pieces = "tea?", [""]
    for place_in_text, letter in enumerate(text):
        if cuts >> place_in_text & 1:
            pieces.append("")
        pieces[-1] += letter
    Speaking.say([piece for piece in pieces if piece])
    got = await events(stack, await session(stack, output_shields=shields))
    deltas = [one.delta.text for one in got if one.event_type == "step_progress"]
    assert "".join(deltas) == got[-1].turn.output_message.content == text
    assert shape(got)[-1] == "turn_complete"
