"""The rows as data: config fields, addresses, steps; and how a service is added."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack_core import errors
from stack_core.apis.inference import ChatCompletion, ChatCompletionRequest, EmbeddingRequest
from stack_core.providers import _registry
from stack_core.providers.inference import rows
from stack_core.providers.inference._config import full_base
from tests.stack_core.providers.inference.service import Asked, Reply, build, service

SHARED = Path(__file__).parents[5] / "shared"
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_a_service_is_added_by_one_row() -> None:
    """What somebody writes to add a service, and nothing else."""
    source = 'Row("remote::newcomer", "Newcomer", "https://api.newcomer.invalid/v1", "NEWCOMER_API_KEY")'
    rows.declare(eval(source, {"Row": rows.Row}))
    spec = _registry.find("inference", "remote::newcomer")
    assert spec.sample == {"url": "https://api.newcomer.invalid/v1", "api_key": "${env.NEWCOMER_API_KEY:=}"}
    assert "remote::newcomer" in [known.type for known in _registry.known("inference")]


async def test_an_added_service_works() -> None:
    rows.declare(rows.Row("remote::newcomer", "Newcomer", "https://api.newcomer.invalid/v1", "NEWCOMER_API_KEY"))

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.json({"choices": [{"message": {"content": "welcome"}}]})

    async with service(answer) as running, build("remote::newcomer", url=running.url, api_key="k") as provider:
        result = await provider.chat_completion(ChatCompletionRequest.model_validate(HELLO))
        assert isinstance(result, ChatCompletion)
        assert result.choices[0].message.content == "welcome"
        assert running.asked[0].path == "/v1/chat/completions"


def test_no_row_is_longer_than_eight_lines() -> None:
    tree = ast.parse(Path(rows.__file__).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Row"]
    assert len(calls) >= 24
    assert [node.lineno for node in calls if (node.end_lineno or 0) - node.lineno >= 8] == []


def test_naming_the_rows_loads_no_client() -> None:
    code = "import sys, stack_core.providers.inference.rows; print('stack_core.http' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def _published() -> list[Any]:
    file = SHARED / "providers.json"
    if not file.is_file():
        return [pytest.param("", {}, marks=pytest.mark.skip("the list of providers is not here"))]
    found = json.loads(file.read_text())
    mine = {f"inference/{row.type}" for row in rows.ROWS}
    return [pytest.param(name.partition("/")[2], found[name], id=name) for name in sorted(mine & found.keys())]


@pytest.mark.parametrize(("type_id", "published"), _published())
def test_config_fields_are_the_published_ones(type_id: str, published: dict[str, Any]) -> None:
    model = _registry.find("inference", type_id).config
    names = {field["name"].partition(".")[0] for field in published["fields"]}
    assert names - model.model_fields.keys() == set()
    model.model_validate(dict.fromkeys(yaml.safe_load(published["sample_config"])))
    for field in published["fields"]:
        default = field["default"].strip("'")
        if default and "." not in field["name"]:
            ours = model.model_fields[field["name"]].default
            assert str(ours) in (default, f"{default}.0", default.removesuffix(".0"))


@pytest.mark.parametrize(
    ("address", "suffix", "full"),
    [
        ("http://localhost:11434", "/v1", "http://localhost:11434/v1"),
        ("http://localhost:11434/v1/", "/v1", "http://localhost:11434/v1"),
        ("https://api.groq.com", "/openai/v1", "https://api.groq.com/openai/v1"),
        ("https://api.groq.com/openai", "/openai/v1", "https://api.groq.com/openai/v1"),
        ("https://api.groq.com/openai/v1", "/openai/v1", "https://api.groq.com/openai/v1"),
        ("http://localhost:9/v1", "/openai/v1", "http://localhost:9/v1"),
        ("https://proxy/team/groq", "/openai/v1", "https://proxy/team/groq/openai/v1"),
        ("adb-1.azuredatabricks.net", "/serving-endpoints", "https://adb-1.azuredatabricks.net/serving-endpoints"),
        ("https://g.invalid/v1beta", "/v1beta/openai", "https://g.invalid/v1beta/openai"),
        ("https://g.invalid/v1beta/openai/", "/v1beta/openai", "https://g.invalid/v1beta/openai"),
        ("https://r.invalid/openai/deployments/d", "/openai/v1", "https://r.invalid/openai/deployments/d"),
        ("https://host/api/v4", "/v1", "https://host/api/v4"),
        ("https://host/nim", "", "https://host/nim"),
    ],
)
def test_addresses_get_what_is_missing(address: str, suffix: str, full: str) -> None:
    assert full_base(address, suffix) == full


@pytest.mark.parametrize("address", ["http://", "http://h:99999", "http://[::1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(errors.ConfigError, match="is not an address"):
        full_base(address, "/v1")


@pytest.mark.parametrize("key", ["sk-\u20ac123456", "sk-1\n23456"])
async def test_a_key_that_cannot_be_sent_is_not_shown(key: str) -> None:
    with pytest.raises(errors.ConfigError, match="the key holds") as caught:
        await build("remote::openai", api_key=key).chat_completion(ChatCompletionRequest.model_validate(HELLO))
    assert "123456" not in str(caught.value)


def test_blanks_around_a_key_are_dropped() -> None:
    assert build("remote::openai", api_key=" sk-1\n").config.key == "sk-1"


# ---- config -----------------------------------------------------------------------------------------------------


def test_names_of_both_generations() -> None:
    for name in ("url", "base_url"):
        assert build("remote::groq", **{name: "https://g.invalid"}).config.address == "https://g.invalid"
    for name in ("api_token", "api_key", "auth_credential"):
        assert build("remote::vllm", **{name: "secret"}).config.key == "secret"
    assert "secret" not in repr(build("remote::vllm", api_token="secret").config)


def test_what_is_empty_is_not_set() -> None:
    config = build("remote::vllm", url="", api_token=None, max_tokens="", tls_verify="false").config
    assert (config.address, config.key, config.max_tokens, config.tls_verify) == ("", None, 4096, False)  # type: ignore[attr-defined]  # fields of the row


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(errors.ConfigError, match="remote::groq has no config field 'api_kee'") as caught:
        build("remote::groq", api_kee="x")
    assert caught.value.hint == "did you mean api_key?"


def test_two_names_that_disagree() -> None:
    with pytest.raises(errors.ConfigError, match="say different things"):
        build("remote::groq", url="https://a.invalid", base_url="https://b.invalid")


def test_older_fields_that_say_what_network_says() -> None:
    assert build("remote::nvidia", timeout=7)._upstream.client.timeout.read == 7
    assert build("remote::bedrock", connect_timeout=3)._upstream.client.timeout.connect == 3
    network = {"timeout": {"read": 9}}
    assert build("remote::watsonx", timeout=7, network=network)._upstream.client.timeout.read == 9
    assert build("remote::openai")._upstream.client.timeout.read == 300


async def test_no_address() -> None:
    with pytest.raises(errors.ConfigError, match="vllm has no address") as caught:
        await build("remote::vllm").chat_completion(ChatCompletionRequest.model_validate(HELLO))
    assert "VLLM_URL" in (caught.value.hint or "")


def test_headers_that_may_not_be_forwarded() -> None:
    for headers in ({"a": "Host"}, {"__secret": "x-a"}, {"c": "cookie"}):
        with pytest.raises(errors.ConfigError, match="cannot pass"):
            build("remote::passthrough", forward_headers=headers)


# ---- steps ------------------------------------------------------------------------------------------------------


def sent(type_id: str, call: str = "chat", **fields: Any) -> dict[str, Any]:
    """What is sent for a request with these fields."""
    provider = build(type_id, url="http://h.invalid", api_key="k")
    kind: Any = EmbeddingRequest if call == "embeddings" else ChatCompletionRequest
    base = {"model": "m", "input": "x"} if call == "embeddings" else HELLO
    return provider._body(kind.model_validate({**base, **fields}), call, _Target(provider.config))  # type: ignore[arg-type]  # the one field that is read


class _Target:
    def __init__(self, config: Any) -> None:
        self.config = config


NAMED = [{"role": "user", "content": "x", "name": "Ann"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
CALLED = [
    {"role": "assistant", "tool_calls": [{"id": "call_123", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "call_123", "content": "x", "name": "f"},
]


@pytest.mark.parametrize(
    ("type_id", "fields", "expected"),
    [
        ("remote::openai", {"model": "gpt-5-mini", "max_tokens": 5}, {"max_completion_tokens": 5}),
        ("remote::openai", {"model": "gpt-4o", "max_tokens": 5}, {"max_tokens": 5}),
        ("remote::ollama", {"max_completion_tokens": 5}, {"max_tokens": 5}),
        ("remote::vllm", {}, {"max_tokens": 4096}),
        ("remote::vllm", {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ("remote::vllm", {"messages": [{"role": "developer", "content": "x"}]},
         {"messages": [{"role": "system", "content": "x"}], "max_tokens": 4096}),
        ("remote::fireworks", {"model": "llama"}, {"model": "accounts/fireworks/models/llama"}),
        ("remote::fireworks", {"model": "accounts/me/models/x"}, {"model": "accounts/me/models/x"}),
        ("remote::groq", {"n": 1, "logprobs": False, "messages": NAMED},
         {"messages": [{"role": "user", "content": "x"}]}),
        ("remote::sambanova", {"messages": PARTS}, {"messages": [{"role": "user", "content": "a\nb"}]}),
        ("remote::mistral", {"seed": 3, "user": "u", "tool_choice": "required", "max_completion_tokens": 4},
         {"random_seed": 3, "tool_choice": "any", "max_tokens": 4}),
        ("remote::watsonx", {"parallel_tool_calls": True}, {}),
        ("remote::anthropic", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
         {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}),
        ("remote::together", {"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]},
         {"messages": [{"role": "assistant", "content": "x"}]}),
    ],
)  # fmt: skip
def test_steps(type_id: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sent(type_id, **fields) == {
        "model": "m",
        **HELLO,
        **{k: v for k, v in fields.items() if k == "model"},
        **expected,
    }


def test_tool_call_ids_of_mistral() -> None:
    assistant, tool = sent("remote::mistral", messages=CALLED)["messages"]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"]
    assert len(tool["tool_call_id"]) == 9
    assert tool["tool_call_id"].isalnum()
    assert tool["name"] == "f"


@pytest.mark.parametrize(
    ("type_id", "field", "value"),
    [
        ("remote::groq", "logprobs", True),
        ("remote::groq", "n", 2),
        ("remote::groq", "logit_bias", {"5": 1}),
        ("remote::cerebras", "frequency_penalty", 0.5),
        ("remote::cerebras", "parallel_tool_calls", False),
        ("remote::anthropic", "n", 3),
        ("remote::deepseek", "response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}),
    ],
)
def test_refused_fields_are_named(type_id: str, field: str, value: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"does not take .*{field}"):
        sent(type_id, **{field: value})


def test_embedding_requests() -> None:
    assert sent("remote::together", "embeddings", user="u") == {"model": "m", "input": "x"}
    assert sent("remote::sambanova", "embeddings", encoding_format="base64") == {"model": "m", "input": "x"}
    assert sent("remote::mistral", "embeddings", dimensions=64)["output_dimension"] == 64
    model = "nvidia/nv-embedqa-e5-v5"
    assert sent("remote::nvidia", "embeddings", model=model)["input_type"] == "query"
    assert sent("remote::nvidia", "embeddings", model=model, input_type="passage")["input_type"] == "passage"
    with pytest.raises(errors.InvalidRequest, match="dimensions"):
        sent("remote::together", "embeddings", dimensions=64)


def test_only_what_the_caller_set_is_sent() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"default": None}}}}}]
    body = sent("remote::openai", tools=tools, top_k=4, stop=None)
    assert body == {**HELLO, "tools": tools, "top_k": 4}


def test_usage_is_asked_for_where_it_helps() -> None:
    assert sent("remote::openai", stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent("remote::mistral", stream=True, stream_options={"include_usage": True})
    assert "stream_options" not in sent("remote::openai")
