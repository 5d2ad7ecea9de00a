"""A reply comes out the same however it was cut."""

from __future__ import annotations

from types import SimpleNamespace as N
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llama_magics.reply import Reply
from stack_core.apis.inference import AnswerMessage, ChatCompletion, ChatCompletionChunk, Choice, Usage


def chunk(**delta: Any) -> ChatCompletionChunk:
    return ChatCompletionChunk.model_validate(
        {"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta}]}
    )


@given(st.lists(st.text()))
def test_pieces_are_appended(pieces: list[str]) -> None:
    reply = Reply()
    for piece in pieces:
        reply.add(chunk(content=piece), 0.1)
    assert reply.text == "".join(pieces)


@given(st.lists(st.text()))
def test_a_final_message_sets(pieces: list[str]) -> None:
    reply = Reply()
    for piece in pieces:
        reply.add(chunk(content=piece), 0.1)
    whole = "".join(pieces)
    message = AnswerMessage(content=whole)
    choice = Choice(message=message, finish_reason="stop")
    reply.add(ChatCompletion(id="c", created=1, model="m", choices=[choice], usage=Usage(prompt_tokens=2)), 0.2)
    assert reply.text == whole
    assert reply.finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.input_tokens == 2


def test_tool_calls_are_put_together() -> None:
    reply = Reply()
    reply.add(chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "sum", "arguments": ""}}]), 0.5)
    reply.add(chunk(tool_calls=[{"index": 1, "id": "b", "function": {"name": "len", "arguments": "{}"}}]), 0.6)
    reply.add(chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"x":'}}]), 0.7)
    reply.add(chunk(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]), 0.8)
    assert [(t.id, t.name, t.arguments) for t in reply.tools.values()] == [("a", "sum", '{"x":1}'), ("b", "len", "{}")]
    assert reply.first_token_seconds == 0.5


def test_reasoning_is_apart_and_other_answers_do_not_count() -> None:
    reply = Reply()
    assert reply.add(chunk(reasoning_content="hm"), 0.1) == ("", "hm")
    other = N(index=1, delta=N(content="no"), finish_reason="stop")
    reply.add(N(usage=None, choices=[other]), 0.2)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("", "hm", None)
