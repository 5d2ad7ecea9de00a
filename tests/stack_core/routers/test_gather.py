"""Any chunking of an answer gathers to the same completion."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stack_core.apis.inference import ChatCompletion, ChatCompletionChunk
from stack_core.routers.gather import Gathered


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> ChatCompletionChunk:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return ChatCompletionChunk.model_validate({"id": "c", "created": 5, "model": "m", "choices": [choice], **more})


def gathered(*chunks: ChatCompletionChunk) -> ChatCompletion:
    out = Gathered()
    for one in chunks:
        out.add(one)
    return ChatCompletion.model_validate(out.completion())


@given(st.text(), st.lists(st.integers(0, 50), max_size=8))
def test_text_is_there_exactly_once(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    answer = gathered(chunk({"role": "assistant"}), *(chunk({"content": piece}) for piece in pieces), chunk({}, "stop"))
    assert answer.choices[0].message.content == text
    assert answer.choices[0].finish_reason == "stop"


def test_tool_calls_are_put_together_by_index() -> None:
    pieces = [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "sub", "arguments": '{"x"'}}]},
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": '{"y":1}'}},
                {"index": 1, "function": {"arguments": ":2}"}},
            ]
        },
    ]
    answer = gathered(*(chunk(piece) for piece in pieces), chunk({}, "tool_calls"))
    calls = answer.choices[0].message.tool_calls or []
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [
        ("a", "add", '{"y":1}'),
        ("b", "sub", '{"x":2}'),
    ]
    assert answer.choices[0].message.content is None


def test_a_call_of_a_custom_tool_is_put_together() -> None:
    answer = gathered(
        chunk({"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "grep", "input": "a"}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "b"}}]}),
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.model_dump() for call in calls] == [
        {"id": "c", "type": "custom", "custom": {"name": "grep", "input": "ab"}}
    ]


def test_several_answers_keep_apart_and_usage_is_the_last() -> None:
    first = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    last = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
    answer = gathered(
        chunk({"content": "a"}, index=1, usage=first),
        chunk({"content": "b"}, index=0),
        chunk({"content": "c"}, index=1, usage=last),
    )
    assert [(c.index, c.message.content) for c in answer.choices] == [(0, "b"), (1, "ac")]
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5


def test_reasoning_and_refusals_are_kept() -> None:
    answer = gathered(
        chunk({"reasoning_content": "hm "}), chunk({"reasoning_content": "yes"}), chunk({"refusal": "no"})
    )
    message = answer.choices[0].message
    assert (message.reasoning_content, message.refusal, message.content) == ("hm yes", "no", "")


def test_nothing_came() -> None:
    assert Gathered().completion() is None
