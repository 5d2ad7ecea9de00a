"""The events of a streamed response: their order, their numbers, and that the whole is what they add up to."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack_core.apis._response import Response
from stack_core.apis.inference import UserMessage
from stack_core.errors import ProviderUnavailable
from stack_core.providers.responses._making import Making
from stack_core.providers.responses._script import Script
from stack_core.turns.loop import Ask, Loop
from tests.stack_core.providers.responses.speaking import Speaking, call

SPEC = Path(__file__).parents[5] / "shared" / "spec" / "openresponses.json"
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


async def streamed(stack: Any, **request: Any) -> list[Any]:
    given = {"model": "up/m", "input": "hi", "stream": True, **request}
    return [event async for event in await stack.responses.create_response(**given)]


def names(events: list[Any]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


@cache
def validator(name: str) -> Any:
    whole = json.loads(SPEC.read_text())
    schema = {"$ref": f"#/components/schemas/{name}", "components": whole["components"]}
    return jsonschema_rs.validator_for(schema)


@cache
def schema_of(type: str) -> str:
    whole = json.loads(SPEC.read_text())["components"]["schemas"]
    kinds = {
        value["properties"]["type"]["enum"][0]: name for name, value in whole.items() if name.endswith("StreamingEvent")
    }
    return str(kinds[type])


def valid(event: Any) -> None:
    """Held against the document, which calls OpenAI's `response.reasoning_text.…` `response.reasoning.…`."""
    data = event.model_dump(mode="json", by_alias=True)
    data["type"] = data["type"].replace("reasoning_text", "reasoning")
    validator(schema_of(data["type"])).validate(data)


async def test_text(stack: Any) -> None:
    Speaking.say(["Hel", "lo"])
    events = await streamed(stack)
    assert names(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.status == events[1].response.status == "in_progress"
    assert events[0].response.output == []
    assert events[2].item.content == [] and events[2].item.status == "in_progress"
    assert events[-1].response.output_text == "Hello"
    assert events[-1].response.usage.output_tokens == 2


async def test_thoughts_text_and_calls(stack: Any) -> None:
    Speaking.say([{"reasoning_content": "Hm"}, "Let me ", "see.", *call("weather", '{"a"', ": 1}")])
    events = await streamed(stack, tools=[WEATHER])
    assert names(events)[2:] == [
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done",
        "output_item.done", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "output_item.added",
        "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done", "completed",
    ]  # fmt: skip
    kinds = [item.type for item in events[-1].response.output]
    assert kinds == ["reasoning", "message", "function_call"]
    assert [event.item.id for event in events if event.type.endswith("item.done")] == [
        item.id for item in events[-1].response.output
    ]


async def test_thoughts_as_a_summary_where_one_is_asked_for(stack: Any) -> None:
    Speaking.say([{"reasoning_content": "Hm"}, "Yes"])
    events = await streamed(stack, reasoning={"summary": "auto", "effort": "low"})
    assert names(events)[3:7] == [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
    ]
    assert events[-1].response.output[0].summary[0].text == "Hm"
    assert Speaking.asked[0].reasoning_effort == "low"


async def test_log_probabilities(stack: Any) -> None:
    def said(token: str) -> dict[str, Any]:
        found = {"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []}
        return {"content": token, "logprobs": {"content": [found]}}

    Speaking.say([said("Hel"), said("lo")])
    events = await streamed(stack, include=["message.output_text.logprobs"])
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [[each.token for each in delta.logprobs] for delta in deltas] == [["Hel"], ["lo"]]
    part = events[-1].response.output[0].content[0]
    assert [(each.token, each.logprob) for each in part.logprobs] == [("Hel", -0.5), ("lo", -0.5)]
    assert Speaking.asked[0].logprobs is True


async def test_a_refusal(stack: Any) -> None:
    Speaking.say([{"refusal": "I will "}, {"refusal": "not."}])
    events = await streamed(stack)
    assert names(events)[3:8] == [
        "content_part.added", "refusal.delta", "refusal.delta", "refusal.done", "content_part.done"
    ]  # fmt: skip
    assert events[-1].response.output[0].content[0].refusal == "I will not."


@pytest.mark.skipif(not SPEC.is_file(), reason="needs shared/spec/openresponses.json")
@pytest.mark.parametrize(
    "turn",
    [
        ["Hel", "lo"],
        [{"reasoning_content": "Hm"}, "Yes", *call("weather", "{}"), *call("weather", "{}", id="call_2", index=1)],
        [{"refusal": "No"}],
        ["cut", {"finish": "length"}],
        ["broken", ConnectionError("x")],
    ],
)
@pytest.mark.parametrize("more", [{}, {"reasoning": {"summary": "auto"}}, {"text": {"verbosity": "low"}}])
async def test_events_are_those_of_open_responses(stack: Any, turn: list[Any], more: dict[str, Any]) -> None:
    Speaking.say([ProviderUnavailable("gone") if isinstance(step, Exception) else step for step in turn])
    for event in await streamed(stack, tools=[WEATHER], instructions="Be brief.", **more):
        valid(event)


PARTS = st.one_of(
    st.text(max_size=5),
    st.builds(lambda text: {"reasoning_content": text}, st.text(min_size=1, max_size=5)),
)


async def _made(turn: list[Any]) -> list[Any]:
    Speaking.say(turn)
    response = Response(id="resp_x", created_at=1, model="m", status="in_progress")
    script = Script(response, include=(), files={}, summary=False, cite=True)
    loop = Loop(Speaking(), Ask(model="m"), [UserMessage(content="hi")])
    making = Making(loop, script, _nothing, queued=False)
    return [event async for event in making.events()]


async def _nothing(making: Making) -> None:
    """There is no store."""


@settings(deadline=None)
@given(st.text(max_size=30), st.data())
def test_the_text_comes_once_however_it_is_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    events = asyncio.run(_made(pieces))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1].response
    assert said == text == (last.output_text or "")
    whole = asyncio.run(_made([text]))[-1].response
    assert _dump(last) == _dump(whole)


@settings(deadline=None)
@given(st.lists(PARTS, max_size=8))
def test_items_are_what_their_events_add_up_to(turn: list[Any]) -> None:
    events = asyncio.run(_made(turn))
    texts: dict[str, str] = {}
    for event in events:
        if event.type.endswith("text.delta"):
            texts[event.item_id] = texts.get(event.item_id, "") + event.delta
    assert texts == {item.id: item.content[0].text for item in events[-1].response.output}
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.model_dump() for item in done] == [item.model_dump() for item in events[-1].response.output]


def _dump(response: Response) -> Any:
    """A response without what differs from run to run: times, and how many pieces the test's model counts."""
    return response.model_dump(exclude={"completed_at", "usage"})
