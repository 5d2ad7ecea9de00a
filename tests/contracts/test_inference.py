"""What every service behind the adapter must do, run over every row against a service on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stack_core import errors
from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankRequest,
)
from stack_core.context import request_scope
from stack_core.providers.inference import _access, _rerank
from stack_core.providers.inference.openai_compatible import OpenAICompatible
from stack_core.providers.inference.rows import ROWS, Row
from tests.stack_core.providers.inference.service import Asked, Reply, Service, build, service

KEY = "sk-contract-key"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "callid001", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def rows(*, offering: str = "chat") -> Any:
    found = [row for row in ROWS if offering in row.offers or (offering == "rerank" and row.rerank)]
    return pytest.mark.parametrize("row", found, ids=[row.type for row in found])


async def remote(asked: Asked, reply: Reply) -> None:
    """An OpenAI-compatible service, with the lists and rerankers that some have in other places."""
    path = asked.path
    if path == "/identity/token":
        assert b"apikey=" in asked.body
        await reply.json({"access_token": KEY, "expiration": 4_000_000_000})
    elif asked.headers.get("authorization") == "Bearer wrong":
        await reply.json({"error": {"message": "Incorrect API key provided: wrong", "code": "invalid_api_key"}}, 401)
    elif path.endswith("/serving-endpoints") and asked.method == "GET":
        await reply.json({"endpoints": [{"name": name} for name in ("m", "other")]})
    elif path.endswith("/models"):
        await reply.json({"object": "list", "data": [{"id": "m"}, {"id": "other"}]})
    elif asked.method == "GET":
        await reply.json({"error": {"message": "no such route"}}, 404)
    elif "rerank" in path:
        scores = [{"index": i, "relevance_score": i / 10, "logit": i / 10, "score": i / 10} for i in range(3)]
        await reply.json({"results": scores, "rankings": scores})
    elif path.endswith("/embeddings"):
        await reply.json({"data": [{"embedding": [1.0, 0.5]}, {"embedding": [0.0, 2.0]}], "model": "m"})
    elif asked.json["model"].endswith("unknown"):
        await reply.json({"error": {"message": "The model `unknown` does not exist", "code": "model_not_found"}}, 404)
    elif asked.json.get("stream"):
        await reply.events(_chunks(asked.json, path))
    else:
        await reply.json(_whole(asked.json, path))


def _whole(body: dict[str, Any], path: str) -> dict[str, Any]:
    message = (
        {"role": "assistant", "content": None, "tool_calls": [CALL]} if body.get("tools") else {"content": "hello"}
    )
    choice = {"index": 0, "message": message, "finish_reason": "stop"} if "chat" in path else {"text": "hello"}
    return {"id": "same-for-all", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def _chunks(body: dict[str, Any], path: str) -> Iterator[dict[str, Any]]:
    frame = {"id": "same-for-all", "created": 1, "model": "m"}
    if "chat" not in path:
        yield {**frame, "choices": [{"index": 0, "text": "hel"}]}
        yield {**frame, "choices": [{"index": 0, "text": "lo", "finish_reason": "length"}], "usage": USAGE}
        return
    yield {**frame, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    pieces = [{"tool_calls": [{"index": 0, **CALL}]}] if body.get("tools") else [{"content": "hel"}, {"content": "lo"}]
    for piece in pieces:
        yield {**frame, "choices": [{"index": 0, "delta": piece}]}
    yield {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**frame, "choices": [], "usage": USAGE}


@asynccontextmanager
async def provider_of(
    row: Row, monkeypatch: pytest.MonkeyPatch, *, key: str | None = KEY, **config: Any
) -> AsyncIterator[tuple[OpenAICompatible, Service]]:
    async with service(remote) as running:
        monkeypatch.setattr(_access, "IAM_URL", f"{running.url}/identity/token")
        url = running.url + ("/bedrock-mantle" if row.type == "remote::bedrock" else "")
        async with build(row.type, "mine", **{"url": url, "api_key": key, **config}) as provider:
            yield provider, running


def chat(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    )


@rows()
async def test_chat(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, running):
        results = [await provider.chat_completion(chat(temperature=0.5, vendor_field="kept")) for _ in range(2)]
        assert all(isinstance(result, ChatCompletion) for result in results)
        first, second = results
        assert isinstance(first, ChatCompletion)
        assert (first.choices[0].message.content, first.choices[0].finish_reason) == ("hello", "stop")
        assert first.usage is not None
        assert first.usage.total_tokens == 5
        assert first.id != second.id  # type: ignore[union-attr]  # both are whole, as asserted
        sent = running.asked[-1]
    assert sent.path.endswith("/chat/completions")
    assert sent.json["model"].endswith("m")
    assert (sent.json["temperature"], sent.json["vendor_field"]) == (0.5, "kept")
    assert not [name for name, value in sent.json.items() if value is None]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    extra = {"max_tokens"} if row.type == "remote::vllm" else {"project_id"} if "project_id" in sent.json else set()
    assert sent.json.keys() - extra == {"model", "messages", "temperature", "vendor_field"}


@rows()
async def test_stream(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, running):
        stream = await provider.chat_completion(chat(stream=True))
        assert isinstance(stream, AsyncIterator)
        chunks = [chunk async for chunk in stream]
        sent = running.asked[-1].json
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == "hello"
    assert len({chunk.id for chunk in chunks}) == 1
    assert ("stream_options" in sent) is row.asks_usage
    assert bool(chunks[-1].usage) is row.asks_usage


@rows()
async def test_tools(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    history = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "callid001", "content": "rain"},
    ]
    async with provider_of(row, monkeypatch) as (provider, running):
        result = await provider.chat_completion(chat(tools=[TOOL], messages=history))
        assert isinstance(result, ChatCompletion)
        assert running.asked[-1].json["messages"][1]["tool_calls"] == [CALL]
        stream = await provider.chat_completion(chat(tools=[TOOL], stream=True))
        assert isinstance(stream, AsyncIterator)
        deltas = [choice async for chunk in stream for choice in chunk.choices]
    [call] = result.choices[0].message.tool_calls or []
    assert (call.id, call.function.name) == ("callid001", "weather")
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    assert result.choices[0].finish_reason == "tool_calls"
    assert [d.finish_reason for d in deltas if d.finish_reason] == ["tool_calls"]
    assert [len(d.delta.tool_calls or []) for d in deltas].count(1) == 1


@rows(offering="completions")
async def test_completion(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, _):
        whole = await provider.completion(CompletionRequest(model="m", prompt="hi"))
        stream = await provider.completion(CompletionRequest(model="m", prompt="hi", stream=True))
        assert isinstance(stream, AsyncIterator)
        pieces = [piece async for piece in stream]
    assert not isinstance(whole, AsyncIterator)
    assert whole.choices[0].text == "".join(c.text for piece in pieces for c in piece.choices) == "hello"
    assert whole.id.startswith("cmpl-")
    assert [c.finish_reason for piece in pieces for c in piece.choices] == [None, "length"]


@rows(offering="embeddings")
async def test_embeddings(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, _):
        result = await provider.embeddings(EmbeddingRequest(model="m", input=["a", "b"]))
        coded = await provider.embeddings(EmbeddingRequest(model="m", input=["a", "b"], encoding_format="base64"))
    assert [(item.index, item.embedding) for item in result.data] == [(0, [1.0, 0.5]), (1, [0.0, 2.0])]
    assert [item.embedding for item in coded.data] == ["AACAPwAAAD8=", "AAAAAAAAAEA="]
    assert result.usage.total_tokens == 0


@rows(offering="rerank")
async def test_rerank(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, running):
        monkeypatch.setitem(_rerank.NVIDIA_RERANKERS, "m", f"{running.url}/reranking")
        request = RerankRequest(model="m", query="q", items=["a", "b", "c"], max_num_results=2)
        result = await provider.rerank(request)
    assert [(item.index, item.relevance_score) for item in result.data] == [(2, 0.2), (1, 0.1)]


@rows()
async def test_what_a_service_does_not_offer(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, running):
        calls = {
            "completions": lambda: provider.completion(CompletionRequest(model="m", prompt="hi")),
            "embeddings": lambda: provider.embeddings(EmbeddingRequest(model="m", input="hi")),
            "rerank": lambda: provider.rerank(RerankRequest(model="m", query="q", items=["a"])),
        }
        for name in calls.keys() - {*row.offers, *(["rerank"] if row.rerank else [])}:
            with pytest.raises(errors.Unsupported, match=f"mine .* has no {name}"):
                await calls[name]()
        assert running.asked == []


@rows()
async def test_models(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch, allowed_models=["m"]) as (provider, _):
        assert [model.identifier for model in await provider.models()] == ["mine/m"]


@rows()
async def test_the_allow_list(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch, allowed_models=["m", "n"]) as (provider, running):
        with pytest.raises(errors.NotFound, match="'mm' not found") as caught:
            await provider.chat_completion(chat(model="mm"))
        assert "m, n" in (caught.value.hint or "")
        assert running.asked == []


@rows()
async def test_errors(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch) as (provider, _):
        with pytest.raises(errors.NotFound, match="unknown"):
            await provider.chat_completion(chat(model="unknown"))
        if row.type == "remote::watsonx":
            return  # its key never reaches the service
        names = [name for name, field in row.per_request.items() if field == row.key_field]
        with request_scope(data={names[0]: "wrong"}), pytest.raises(errors.ProviderAuthFailed) as caught:
            await provider.chat_completion(chat(stream=True))
        assert (caught.value.provider_id, caught.value.upstream_status) == ("mine", 401)
        assert "wrong" not in caught.value.message


@rows()
async def test_a_missing_key(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_of(row, monkeypatch, key=None) as (provider, running):
        if row.key and row.key_for == "all":
            with pytest.raises(errors.MissingCredential, match=f"mine .*{row.key}") as caught:
                await provider.chat_completion(chat())
            assert row.key in (caught.value.hint or "")
            assert (await provider.health()).status == "Error"
            assert running.asked == []


@rows()
async def test_a_key_in_the_provider_data(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, field in row.per_request.items() if field == row.key_field]
    async with provider_of(row, monkeypatch, key=None) as (provider, running):
        with request_scope(data={names[0]: KEY}):
            await provider.chat_completion(chat())
        assert running.asked[-1].headers["authorization"] == f"Bearer {KEY}"
