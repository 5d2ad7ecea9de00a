"""What llama.cpp understands differently is mended: schemas as grammars, forced calls, several answers, shapes."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
)
from stack_core.errors import InvalidRequest, ProviderError, Unsupported
from stack_core.providers.inference._engine import dialect, fan_out
from stack_core.providers.inference._engine.schema import CALL_END, CALL_START, answer_grammar, checked

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
OTHER = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = CALL_START + '{"name": "weather", "arguments": {"city": "Oslo, \\"N\\""}}' + CALL_END


def ask(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    )


def rules(grammar: str) -> list[Any]:
    return [json.loads(line.partition("%json ")[2]) for line in grammar.splitlines() if "%json" in line]


def test_a_named_tool_is_the_only_one_in_the_grammar() -> None:
    chosen = {"type": "function", "function": {"name": "weather"}}
    request, reading = dialect.chat_request(ask(tools=[TOOL, OTHER], tool_choice=chosen), small=False)
    assert reading == "call"
    assert request.tool_choice == "none"
    (rule,) = rules(request.grammar)  # type: ignore[attr-defined]
    assert rule["properties"]["name"] == {"const": "weather"}


def test_a_required_tool_may_be_any() -> None:
    request, reading = dialect.chat_request(ask(tools=[TOOL, OTHER], tool_choice="required"), small=False)
    assert reading == "call"
    assert [r["properties"]["name"]["const"] for r in rules(request.grammar)] == ["weather", "add"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("choice", [None, "auto"])
def test_a_free_choice_is_left_to_the_engine(choice: str | None) -> None:
    request = ask(tools=[TOOL], tool_choice=choice)
    assert dialect.chat_request(request, small=True) == (request, "text")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "wether"}}}, "wether"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "not understood"),
        ({"response_format": {"type": "json_schema"}}, "schema is missing"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "strin"}}}}, "no JSON type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            "reads text only",
        ),
    ],
)
def test_mistakes_are_refused_before_the_call(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        dialect.chat_request(ask(**fields), small=True)


def test_json_object_means_an_object() -> None:
    request, reading = dialect.chat_request(ask(response_format={"type": "json_object"}), small=False)
    assert (reading, request.response_format) == ("json", None)
    assert rules(request.grammar)[0]["type"] == "object"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("small", "limit", "bounded"), [(True, None, True), (True, 50, False), (False, None, False)])
def test_only_small_models_without_a_limit_are_bounded(small: bool, limit: int | None, bounded: bool) -> None:
    schema = {"type": "object", "properties": {"t": {"type": ["string", "null"]}, "n": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    request, _ = dialect.chat_request(ask(response_format=form, max_tokens=limit), small=small)
    inner = rules(request.grammar)[0]["properties"]  # type: ignore[attr-defined]
    assert ("maxLength" in inner["t"]) is ("maximum" in inner["n"]) is bounded


def test_own_bounds_are_kept() -> None:
    schema = {"type": "string", "maxLength": 9}
    assert checked(schema, bounded=True) == schema
    assert checked({"enum": ["a"], "type": "string"}, bounded=True) == {"enum": ["a"], "type": "string"}
    assert checked({"type": "integer", "minimum": 0}, bounded=True)["minimum"] == 0
    assert checked({"properties": {}}, bounded=True)["additionalProperties"] is False
    opened = {"properties": {}, "additionalProperties": {"type": "boolean"}}
    assert checked(opened, bounded=True) == opened
    parts = {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
    assert checked(parts, bounded=True) == parts


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"a": {"type": "text"}}}, r"schema\.properties\.a\.type"),
        ({"items": {"pattern": "((("}}, r"schema\.items\.pattern"),
        ({"anyOf": [{}, {"$ref": "http://x/y"}]}, r"schema\.anyOf\.1\.\$ref"),
        ({"properties": {"a": 3}}, "a schema is an object"),
        ({"properties": {"a": {"$ref": "#/$defs/Missing"}}, "$defs": {"Here": {}}}, r"#/\$defs/Missing"),
    ],
)
def test_wrong_schemas_name_the_place(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        answer_grammar(schema, bounded=False)


def test_endless_nesting_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(InvalidRequest, match="deeper"):
        answer_grammar(schema, bounded=False)


def test_references_of_a_tool_point_into_the_call() -> None:
    parameters = {"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}, "$defs": {"P": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    request, _ = dialect.chat_request(ask(tools=[tool], tool_choice="required"), small=False)
    (rule,) = rules(request.grammar)  # type: ignore[attr-defined]
    arguments = rule["properties"]["arguments"]
    assert arguments["$defs"] == {"P": {"type": "integer"}}
    assert arguments["properties"]["p"] == {"$ref": "#/properties/arguments/$defs/P"}


def answer(text: str, reason: str = "stop") -> ChatCompletion:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return ChatCompletion.model_validate({"id": "1", "created": 1, "model": "m", "choices": [choice]})


def chunks(pieces: list[str], reason: str = "stop") -> list[ChatCompletionChunk]:
    deltas: list[dict[str, Any]] = [{"delta": {"role": "assistant"}}]
    deltas += [{"delta": {"content": piece}} for piece in pieces]
    deltas.append({"delta": {}, "finish_reason": reason})
    return [
        ChatCompletionChunk.model_validate({"id": "1", "created": 1, "model": "m", "choices": [delta]})
        for delta in deltas
    ]


def test_an_enforced_call_becomes_a_tool_call() -> None:
    choice = dialect.ChatReader("call").whole(answer(CALL)).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": 'Oslo, "N"'})


def test_an_enforced_call_is_read_from_any_chunking() -> None:
    chance = random.Random(1)
    for _ in range(200):
        cuts = sorted(chance.sample(range(1, len(CALL)), chance.randrange(0, 12)))
        pieces = [CALL[a:b] for a, b in zip([0, *cuts], [*cuts, len(CALL)], strict=True)]
        reader = dialect.ChatReader("call")
        seen = [chunk for chunk in map(reader.piece, chunks(pieces)) if chunk is not None]
        calls = [call for chunk in seen for call in chunk.choices[0].delta.tool_calls or []]
        assert [call.function.name for call in calls if call.function and call.function.name] == ["weather"]
        assert sum(call.id is not None for call in calls) == 1
        arguments = "".join(call.function.arguments or "" for call in calls if call.function)
        assert json.loads(arguments) == {"city": 'Oslo, "N"'}
        assert not any(chunk.choices[0].delta.content for chunk in seen)
        assert [c.choices[0].finish_reason for c in seen if c.choices[0].finish_reason] == ["tool_calls"]


def test_a_call_cut_by_the_limit_says_length() -> None:
    choice = dialect.ChatReader("call").whole(answer(CALL[:-20], "length")).choices[0]
    assert choice.finish_reason == "length"
    early = dialect.ChatReader("call").whole(answer(CALL[:15], "length")).choices[0]
    assert early.message.tool_calls is None


@pytest.mark.parametrize("reading", ["call", "json"])
def test_what_was_not_enforced_is_an_error(reading: dialect.Reading) -> None:
    with pytest.raises(ProviderError, match="could not enforce"):
        dialect.ChatReader(reading).whole(answer("Sure! Here it is"))
    reader = dialect.ChatReader(reading)
    with pytest.raises(ProviderError, match="could not enforce"):
        list(map(reader.piece, chunks(["Sure! ", "Here it is"])))


def test_lone_surrogates_are_replaced() -> None:
    body: dict[str, Any] = {"messages": [{"content": "a\ud83d b"}], "n": 1, "stop": ["\udc00"], "ok": "🙂"}
    dialect.without_surrogates(body, "chat", None)
    assert body == {"messages": [{"content": "a\ufffd b"}], "n": 1, "stop": ["\ufffd"], "ok": "🙂"}


def test_older_logprobs_have_four_lists() -> None:
    tokens = [
        {"token": "ab", "logprob": -1.0, "top_logprobs": [{"token": "ab", "logprob": -1.0}]},
        {"token": "c", "logprob": -2.0, "top_logprobs": []},
    ]
    choice = {"index": 0, "text": "abc", "logprobs": {"content": tokens}}
    given = Completion.model_validate({"id": "1", "created": 1, "model": "m", "choices": [choice]})
    reader = dialect.TextReader(CompletionRequest(model="m", prompt="x"))
    got = reader.read(given).choices[0].logprobs
    assert got is not None
    assert got.model_dump() == {
        "text_offset": [0, 2],
        "token_logprobs": [-1.0, -2.0],
        "tokens": ["ab", "c"],
        "top_logprobs": [{"ab": -1.0}, {}],
    }


@pytest.mark.parametrize("fields", [{"suffix": "y"}, {"best_of": 3}, {"echo": True, "prompt": [1, 2]}])
def test_what_the_engine_would_leave_out_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        dialect.check_text_request(CompletionRequest.model_validate({"model": "m", "prompt": "x", **fields}))


def test_several_prompts_and_answers_are_single_requests() -> None:
    request = CompletionRequest(model="m", prompt=["a", "b"], n=2, seed=7)
    singles = fan_out.single_requests(request)
    assert [(one.prompt, one.seed, one.n) for one in singles] == [("a", 7, 1), ("a", 8, 1), ("b", 7, 1), ("b", 8, 1)]
    tokens = CompletionRequest(model="m", prompt=[1, 2, 3])
    assert fan_out.single_requests(tokens) == [tokens]


async def whole_one(text: str) -> Completion:
    choice = {"index": 0, "text": text}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return Completion.model_validate({"id": text, "created": 1, "model": "m", "choices": [choice], "usage": usage})


async def stream_one(text: str) -> AsyncIterator[Completion]:
    async def pieces() -> AsyncIterator[Completion]:
        for letter in text:
            yield (await whole_one(letter)).model_copy(update={"usage": None})
        yield (await whole_one(text)).model_copy(update={"choices": []})

    return pieces()


async def test_answers_are_merged_with_the_prompt_counted_once() -> None:
    answer = await fan_out.merged([partial(whole_one, text) for text in "xyz"])
    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "x"), (1, "y"), (2, "z")]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 6)


async def test_streams_are_merged_under_one_id() -> None:
    stream = await fan_out.opened([partial(stream_one, text) for text in ("abc", "de")])
    seen = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in seen}) == 1
    texts = {0: "", 1: ""}
    for chunk in seen[:-1]:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == {0: "abc", 1: "de"}
    assert (seen[-1].choices, seen[-1].usage.prompt_tokens, seen[-1].usage.completion_tokens) == ([], 5, 4)


async def broken() -> AsyncIterator[Completion]:
    async def pieces() -> AsyncIterator[Completion]:
        yield await whole_one("a")
        raise ProviderError("it ended")

    return pieces()


async def test_one_broken_stream_ends_all() -> None:
    stream = await fan_out.opened([broken, partial(stream_one, "abcdef")])
    with pytest.raises(ProviderError, match="it ended"):
        async for _ in stream:
            pass
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_a_model_that_must_not_call_sees_no_tools() -> None:
    sent, reading = dialect.chat_request(ask(tools=[TOOL], tool_choice="none"), small=True)
    assert (sent.tools, sent.tool_choice, reading) == (None, None, "text")


def test_a_forced_call_wins_over_a_format() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    sent, reading = dialect.chat_request(ask(tools=[TOOL], tool_choice="required", response_format=form), small=True)
    assert (sent.response_format, reading) == (None, "call")


@pytest.mark.parametrize(
    "schema",
    [{"type": {"a": 1}}, {"type": [["string"]]}, {"properties": ["a"]}, {"required": "a"}, {"enum": []},
     {"anyOf": {}}, {"minLength": "3"}, {"maxItems": -1}, {"items": {"enum": "abc"}}],
)  # fmt: skip
def test_a_schema_of_the_wrong_shape_is_refused(schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    with pytest.raises(InvalidRequest, match="schema"):
        dialect.chat_request(ask(response_format=form), small=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0},
        {"functions": [{"name": "f"}]},
        {"tools": [{"type": "web_search"}]},
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        {"web_search_options": {}},
    ],
)
def test_what_the_engine_does_not_know_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        dialect.chat_request(ask(**fields), small=True)


def test_requests_are_tidied() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"cut'}}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "tool_calls": [call, {"id": "d", "function": {"name": "f", "arguments": ""}}]},
    ]
    body = {"messages": messages, "stop": ["", "x"], "max_tokens": 2**63, "logprobs": True}
    dialect.tidy(body, "chat", None)
    assert (body["stop"], body["max_tokens"], body["top_logprobs"]) == (["x"], 2**31 - 1, 1)
    assert messages[0]["content"] == ""
    assert messages[1]["content"] == [{"type": "text", "text": "no"}]
    assert [made["function"]["arguments"] for made in messages[2]["tool_calls"]] == ['"{\\"cut"', "{}"]


def test_fields_that_a_call_does_not_have_may_hold_anything() -> None:
    body: dict[str, Any] = {"prompt": "hi", "max_completion_tokens": [], "messages": 5, "max_tokens": 3}
    dialect.tidy(body, "completions", None)
    assert body == {"prompt": "hi", "max_completion_tokens": [], "messages": 5, "max_tokens": 3}
    vectors: dict[str, Any] = {"input": "hi", "stop": 5, "messages": None}
    dialect.tidy(vectors, "embeddings", None)
    assert vectors == {"input": "hi", "stop": 5, "messages": None}
