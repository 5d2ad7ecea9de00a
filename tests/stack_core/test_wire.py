"""Requests and results on the wire: which route, which arguments, what goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack_core.apis import all_routes
from stack_core.apis._declare import Route
from stack_core.apis.inference import ChatCompletion, ChatCompletionChunk, ListCompletionsRequest
from stack_core.apis.models import Model
from stack_core.errors import InvalidRequest, MethodNotAllowed, NotFound, ProviderError
from stack_core.server.aliases import route_table
from stack_core.wire import faults, results
from stack_core.wire.requests import arguments, outgoing, provider_data, streams
from stack_core.wire.table import Alias, RouteTable, openapi_path
from tests.stack_core.probe import chunk, completion

TABLE = route_table()
ROUTES = {route.id: route for route in all_routes()}
CHAT = ROUTES["inference.chat_completion"]
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


# ---- which route --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES.keys())
def test_every_declared_route_is_found_by_its_own_url(route: Route) -> None:
    found, args = TABLE.match(route.verb, openapi_path(route.url).replace("{", "").replace("}", ""))
    assert found is route
    assert args == {name: name for name in route.path_params}


@pytest.mark.parametrize(
    ("path", "model_id"),
    [
        ("/v1/models/ollama/llama3.2:3b", "ollama/llama3.2:3b"),
        ("/v1/models/ollama%2Fllama3.2%3A3b", "ollama/llama3.2:3b"),
        ("/v1/models/with%20space%3F%23", "with space?#"),
        ("/v1/models/m/", "m"),
    ],
)
def test_a_path_argument_may_hold_slashes_plain_or_encoded(path: str, model_id: str) -> None:
    assert TABLE.match("GET", path)[1] == {"model_id": model_id}


def test_an_encoded_slash_stays_inside_one_segment() -> None:
    route, args = TABLE.match("GET", "/v1/chat/completions/a%2Fb")
    assert (route.name, args) == ("get_chat_completion", {"completion_id": "a/b"})


@pytest.mark.parametrize(
    ("verb", "path", "route"),
    [
        ("POST", "/v1/openai/v1/chat/completions", "inference.chat_completion"),
        ("GET", "/v1/openai/v1/models", "models.list_models"),
        ("GET", "/v1/openai/v1/models/a/b", "models.get_model"),
        ("POST", "/v1/inference/rerank", "inference.rerank"),
        ("GET", "/v1alpha/admin/health", "inspect.health"),
        ("GET", "/v1alpha/admin/inspect/routes", "inspect.list_routes"),
        ("GET", "/v1alpha/admin/providers/p", "providers.inspect_provider"),
    ],
)
def test_further_spellings_lead_to_the_declared_route(verb: str, path: str, route: str) -> None:
    assert TABLE.match(verb, path)[0].id == route


def test_an_alias_never_takes_a_declared_url() -> None:
    listing = ROUTES["models.list_models"]
    table = RouteTable([listing, ROUTES["providers.list_providers"]], [Alias("/v1/models", "/v1/providers")])
    assert table.match("GET", "/v1/models")[0] is listing


def test_an_unknown_path_and_a_wrong_verb_are_told_apart() -> None:
    with pytest.raises(NotFound, match="'GET /v1/nothing' not found"):
        TABLE.match("GET", "/v1/nothing")
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.match("PUT", "/v1/models")
    assert caught.value.allowed == ["GET", "POST"]
    with pytest.raises(NotFound):
        TABLE.match("GET", "/v1/openai/v1/providers")


# ---- arguments ----------------------------------------------------------------------------------------------------


def test_a_body_becomes_the_request_model_with_fields_it_does_not_know() -> None:
    request = arguments(CHAT, {}, "", json.dumps({**BODY, "temperature": 0, "vendor": [1]}).encode())["request"]
    assert (request.model, request.temperature, request.vendor) == ("m", 0.0, [1])


@pytest.mark.parametrize("body", [b"{", b"not json", b"\xff\xfe", b'{"model": "m",}'])
def test_a_body_that_is_not_json_is_refused_with_the_place(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"not valid JSON: .*line 1 column \d+"):
        arguments(CHAT, {}, "", body)
    with pytest.raises(InvalidRequest, match=r"not valid JSON: .*line 1 column \d+"):
        arguments(ROUTES["models.register_model"], {}, "", body)


def test_every_fault_of_a_body_is_named_with_its_place_and_without_the_value() -> None:
    secret = "sk-very-secret"
    body = json.dumps({"messages": [{"role": "user", "content": {"a": secret}}], "temperature": 9}).encode()
    with pytest.raises(InvalidRequest) as caught:
        arguments(CHAT, {}, "", body)
    places = [tuple(fault["loc"]) for fault in caught.value.errors]
    assert ("model",) in places
    assert ("temperature",) in places
    assert any(place[:2] == ("messages", 0) for place in places)
    assert secret not in str(caught.value) + str(caught.value.errors)


@pytest.mark.parametrize("body", [b"[]", b"3", b"null", b'"text"'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        arguments(CHAT, {}, "", body)


def test_an_empty_body_names_what_is_missing() -> None:
    with pytest.raises(InvalidRequest) as caught:
        arguments(CHAT, {}, "", b"")
    assert {fault["loc"][0] for fault in caught.value.errors} == {"model", "messages"}


def test_a_query_is_checked_like_a_body() -> None:
    listing = ROUTES["inference.list_chat_completions"]
    request = arguments(listing, {}, "limit=3&order=asc&after=x%20y", b"")["request"]
    assert (request.limit, request.order, request.after) == (3, "asc", "x y")
    with pytest.raises(InvalidRequest) as caught:
        arguments(listing, {}, "limit=many", b"")
    assert caught.value.errors[0]["loc"] == ["limit"]


@given(
    after=st.none() | st.text(min_size=1),
    limit=st.integers(1, 1000),
    model=st.none() | st.text(),
    order=st.sampled_from(["asc", "desc"]),
)
def test_a_query_comes_back_as_it_was_sent(after: str | None, limit: int, model: str | None, order: Any) -> None:
    listing = ROUTES["inference.list_chat_completions"]
    request = ListCompletionsRequest(after=after, limit=limit, model=model, order=order)
    path, _, query = outgoing(listing, {"request": request}).target.partition("?")
    assert TABLE.match("GET", path)[0] is listing
    assert arguments(listing, {}, query, b"") == {"request": request}


@given(st.text(min_size=1).filter(lambda text: not text.endswith("/") and "\ud800" not in text))
def test_any_model_id_comes_back_as_it_was_sent(model_id: str) -> None:
    route = ROUTES["models.get_model"]
    found, args = TABLE.match("GET", outgoing(route, {"model_id": model_id}).target)
    assert (found, args) == (route, {"model_id": model_id})


def test_an_empty_path_argument_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidRequest, match="model_id: must not be empty"):
        ROUTES["models.get_model"].arguments((), {"model_id": ""})


@pytest.mark.parametrize(
    ("model_id", "target"),
    [("..", "%2E%2E"), ("a/../b", "a/%2E%2E/b"), ("./x", "%2E/x"), ("a..b/c.d", "a..b/c.d")],
)
def test_dots_of_an_id_are_no_folders_to_an_http_client(model_id: str, target: str) -> None:
    assert outgoing(ROUTES["models.get_model"], {"model_id": model_id}).target == f"/v1/models/{target}"


def test_what_cannot_be_sent_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="model_id"):
        outgoing(ROUTES["models.get_model"], {"model_id": "\ud800"})
    route = ROUTES["inference.chat_completion"]
    for odd in ({"content": "\ud800"}, {"content": "hi", "thing": object()}):
        args = route.arguments((), {"model": "m", "messages": [{"role": "user", **odd}]})
        with pytest.raises(InvalidRequest, match="cannot be sent as JSON"):
            outgoing(route, args)


def test_head_is_answered_where_get_is() -> None:
    assert TABLE.match("HEAD", "/v1/health")[0] is ROUTES["inspect.health"]
    with pytest.raises(MethodNotAllowed):
        TABLE.match("HEAD", "/v1/embeddings")


def test_a_request_comes_back_as_it_was_sent() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
    ]
    sent = CHAT.arguments((), {**BODY, "messages": messages, "response_format": schema, "top_k": 5})
    body = outgoing(CHAT, sent).body
    assert body is not None
    assert arguments(CHAT, {}, "", body)["request"].model_dump() == sent["request"].model_dump()
    assert json.loads(body)["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_null_that_must_be_said_is_sent() -> None:
    update = ROUTES["conversations.update_conversation"]
    sent = update.arguments((), {"conversation_id": "c", "request": {"metadata": None}})
    body = outgoing(update, sent).body
    assert body == b'{"metadata":null}'
    assert arguments(update, {"conversation_id": "c"}, "", body) == sent


def test_only_a_request_that_asks_for_it_streams() -> None:
    assert streams(CHAT, CHAT.arguments((), {**BODY, "stream": True}))
    assert not streams(CHAT, CHAT.arguments((), BODY))
    assert not streams(ROUTES["models.list_models"], {})


@pytest.mark.parametrize("name", ["X-LlamaStack-Provider-Data", "X-OGX-Provider-Data"])
def test_provider_data_comes_from_its_header(name: str) -> None:
    assert provider_data({name.lower(): '{"openai_api_key": "k"}'}) == {"openai_api_key": "k"}
    utf8 = '{"a": "ü"}'.encode().decode("latin-1")
    assert provider_data({name.lower(): utf8}) == provider_data({name.lower(): '{"a": "\\u00fc"}'}) == {"a": "ü"}
    for text in ("{", "[]", "3", "sk-secret"):
        with pytest.raises(InvalidRequest, match=f"the header {name} must be a JSON object") as caught:
            provider_data({name.lower(): text})
        assert "sk-secret" not in str(caught.value) + str(caught.value.errors)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_FIELDS = ("model", "messages", "prompt", "input", "query", "items", "stream", "n", "tools", "model_id", "metadata")
_POSTS = [route for route in ROUTES.values() if route.verb == "POST"]


@given(
    route=st.sampled_from(_POSTS),
    body=st.binary(max_size=40)
    | st.dictionaries(st.sampled_from(_FIELDS), _JSON).map(lambda d: json.dumps(d).encode()),
    query=st.text(max_size=20),
)
def test_no_body_is_more_than_a_refusal(route: Route, body: bytes, query: str) -> None:
    try:
        made = arguments(route, {}, query, body)
    except InvalidRequest as error:
        assert error.errors
        json.loads(faults.body_of(error))
    else:
        assert route.arguments((), made) == made or b"NaN" in body


@given(st.sampled_from([route for route in ROUTES.values() if route.verb == "GET"]), st.text(max_size=30))
def test_no_query_is_more_than_a_refusal(route: Route, query: str) -> None:
    try:
        arguments(route, dict.fromkeys(route.path_params, "x"), query, b"")
    except InvalidRequest as error:
        json.loads(faults.body_of(error))


# ---- results ------------------------------------------------------------------------------------------------------


def test_a_completion_keeps_the_nulls_that_openai_sends_and_no_others() -> None:
    message = json.loads(results.encode(completion()))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "hi", "refusal": None}
    silent = ChatCompletion.model_validate({**completion().model_dump(), "choices": [{"message": {"content": None}}]})
    choice = json.loads(results.encode(silent))["choices"][0]
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] is None


def test_a_chunk_is_one_event_without_empty_fields() -> None:
    event = results.frame(chunk("a\nb"))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    choice = json.loads(event[6:])["choices"][0]
    assert choice == {"index": 0, "delta": {"content": "a\nb"}, "finish_reason": None, "logprobs": None}


def test_results_come_back_as_they_were_sent() -> None:
    model = Model(identifier="p/m", provider_id="p", provider_resource_id="m")
    assert results.decode(Model, results.encode(model)) == model
    assert results.decode_item(ChatCompletionChunk, results.encode(chunk("x"))) == chunk("x")
    assert results.decode(None, b"") is None


def test_an_answer_of_another_shape_is_the_servers_fault() -> None:
    with pytest.raises(ProviderError, match="not the expected Model"):
        results.decode(Model, b"<html>")


def test_the_word_error_inside_a_chunk_is_no_error() -> None:
    assert results.decode_item(ChatCompletionChunk, results.encode(chunk('{"error": 1}'))) == chunk('{"error": 1}')
