"""Every recorded reply of every service goes through the adapter, over a socket, and comes out whole."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    EmbeddingRequest,
)
from stack_core.errors import InvalidRequest
from stack_core.providers._refusals import About, Refusals
from stack_core.providers.inference import _access
from stack_core.providers.inference.rows import ROWS
from tests.stack_core.providers.inference.service import Asked, Reply, build, service

EXCHANGES = Path(__file__).parents[5] / "shared" / "exchanges"
FILES = sorted(EXCHANGES.glob("*.json")) if EXCHANGES.is_dir() else []
OTHER_PROTOCOLS = {
    "ollama-native_": "Ollama's own /api, not the compatible layer",
    "vertexai_generate_content": "Google's generateContent, not the compatible layer",
    "gemini__": "Google's interactions; their error bodies are tested apart",
    "ollama__": "Anthropic's messages; their error body is tested apart",
}
TAGS = {row.type: row.think for row in ROWS}


def other_protocol(file: Path) -> str | None:
    return next((why for name, why in OTHER_PROTOCOLS.items() if file.name.startswith(name)), None)


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def kind_of(exchange: dict[str, Any]) -> str:
    if "messages" in (exchange["request"] or {}):
        return "chat"
    return str(exchange["url"].rpartition("/")[2])


def recordings(kind: str, streamed: bool = False) -> list[Any]:
    """The recordings of a route, whatever it was called with: a `completions` file may hold a chat."""
    found = []
    for file in FILES:
        exchange = read(file)
        if other_protocol(file) is None and kind_of(exchange) == kind and exchange["streamed"] == streamed:
            found.append(pytest.param(file, id=file.stem))
    return found or [pytest.param(None, marks=pytest.mark.skip("the recordings are not here"))]


def type_of(file: Path) -> str:
    name = file.stem.partition("_")[0]
    return "remote::tgi" if name == "tgi-or-llamacpp" else f"remote::{name}"


async def replay(file: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> Any:
    """What the adapter makes of a recording: the result, or the list of chunks, or the models."""
    exchange = read(file)

    async def answer(asked: Asked, reply: Reply) -> None:
        if asked.path == "/identity/token":
            await reply.json({"access_token": "iam", "expiration": 4_000_000_000})
        elif "/models" not in asked.path and call == "models":
            await reply.json({"error": {"message": "not here"}}, 404)
        elif call == "models":
            listed = exchange["response"]
            await reply.json(listed if exchange["provider"] == "together" else {"object": "list", "data": listed})
        elif exchange["streamed"]:
            await reply.events(exchange["response"])
        else:
            await reply.json(exchange["response"])

    async with service(answer) as running:
        monkeypatch.setattr(_access, "IAM_URL", running.url + "/identity/token")
        async with build(type_of(file), url=running.url, api_key="test-key") as provider:
            if call == "models":
                return await provider.models()
            result = await getattr(provider, call)(request_of(call, exchange))
            return [chunk async for chunk in result] if exchange["streamed"] else result


def request_of(call: str, exchange: dict[str, Any]) -> Any:
    asked = {key: value for key, value in (exchange["request"] or {}).items() if key != "extra_body"}
    for field in ("parallel_tool_calls", "service_tier", "service-tier", "logprobs", "top_logprobs", "n"):
        asked.pop(field, None)  # what a row refuses is tested apart
    if call == "embeddings":
        return EmbeddingRequest.model_validate(asked)
    if call == "completion":
        return CompletionRequest.model_validate(asked)
    return ChatCompletionRequest.model_validate({**asked, "messages": [{"role": "user", "content": "as recorded"}]})


# ---- what a recording says, read without the adapter's code -----------------------------------------------------


def parted(text: str, tags: tuple[str, str] | None) -> tuple[str, str]:
    """(answer, reasoning) of a whole text."""
    if tags and (found := re.match(rf"\s*{tags[0]}\n*(.*?)(?:\n*{tags[1]}\s*(.*)|)\Z", text, re.DOTALL)):
        return (found[2] or ""), found[1]
    return text, ""


def calls_of(message: dict[str, Any]) -> list[tuple[str, str]]:
    return [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]


def finish_of(reason: str | None, called: bool) -> str:
    return "tool_calls" if called and reason in (None, "", "stop") else reason or "stop"


def tokens(usage: dict[str, Any] | None) -> tuple[int, int, int] | None:
    return (usage["prompt_tokens"], usage.get("completion_tokens") or 0, usage["total_tokens"]) if usage else None


def folded(chunks: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Answers put together as the plainest client does it: texts appended, tool calls by index."""
    answers: dict[int, dict[str, Any]] = defaultdict(
        lambda: {"text": "", "reasoning": "", "calls": {}, "finish": None, "roles": 0, "finishes": 0}
    )
    for chunk in chunks:
        for choice in chunk["choices"]:
            answer, delta = answers[choice["index"]], choice.get("delta") or {"content": choice.get("text")}
            answer["text"] += delta.get("content") or ""
            answer["reasoning"] += delta.get("reasoning_content") or delta.get("reasoning") or ""
            answer["roles"] += bool(delta.get("role"))
            answer["finishes"] += bool(choice.get("finish_reason"))
            answer["finish"] = choice.get("finish_reason") or answer["finish"]
            for call in delta.get("tool_calls") or []:
                place = answer["calls"].setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
                place["id"] += call.get("id") or ""
                place["name"] += call["function"].get("name") or ""
                place["arguments"] += call["function"].get("arguments") or ""
    return answers


@pytest.mark.parametrize("file", recordings("chat"))
async def test_plain_chat(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await replay(file, monkeypatch, "chat_completion")
    recorded = read(file)["response"]
    assert isinstance(result, ChatCompletion)
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{32}", result.id)
    assert result.created > 1_700_000_000
    assert len(result.choices) == len(recorded["choices"])
    for ours, theirs in zip(result.choices, recorded["choices"], strict=True):
        message = theirs["message"]
        text, tagged = parted(message.get("content") or "", TAGS[type_of(file)])
        assert (ours.message.content or "") == text
        assert (ours.message.reasoning_content or "") == (
            message.get("reasoning_content") or message.get("reasoning") or tagged
        )
        assert [(c.function.name, c.function.arguments) for c in ours.message.tool_calls or []] == calls_of(message)
        assert ours.finish_reason == finish_of(theirs["finish_reason"], bool(message.get("tool_calls")))
    assert result.usage is not None
    assert tokens(result.usage.model_dump()) == tokens(recorded["usage"])


@pytest.mark.parametrize("file", recordings("chat", streamed=True))
async def test_streamed_chat(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = await replay(file, monkeypatch, "chat_completion")
    recorded = read(file)["response"]
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == len({chunk.created for chunk in chunks}) == 1
    ours, theirs = folded([chunk.model_dump() for chunk in chunks]), folded(recorded)
    assert ours.keys() == theirs.keys()
    for index, answer in ours.items():
        text, tagged = parted(theirs[index]["text"], TAGS[type_of(file)])
        assert (answer["text"], answer["reasoning"]) == (text, theirs[index]["reasoning"] or tagged)
        first = [{**c, "id": c["id"]} for c in answer["calls"].values()]
        assert [(c["name"], c["arguments"]) for c in first] == [
            (c["name"], c["arguments"]) for c in theirs[index]["calls"].values()
        ]
        assert all(theirs_id.startswith(c["id"]) for c, theirs_id in zip(
            first, (c["id"] for c in theirs[index]["calls"].values()), strict=True))  # fmt: skip
        assert (answer["roles"], answer["finishes"]) == (1, 1)
        assert answer["finish"] == finish_of(theirs[index]["finish"], bool(answer["calls"]))
    counted = [chunk["usage"] for chunk in recorded if chunk.get("usage")]
    assert [tokens(c.usage.model_dump()) for c in chunks if c.usage] == [tokens(u) for u in counted[-1:]]
    assert all(bool(chunk.choices) for chunk in chunks if not chunk.usage)
    assert all(not chunk.choices for chunk in chunks if chunk.usage)
    assert "obfuscation" not in json.dumps([chunk.model_dump() for chunk in chunks])


@pytest.mark.parametrize("file", recordings("completions"))
async def test_plain_completion(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await replay(file, monkeypatch, "completion")
    recorded = read(file)["response"]
    assert isinstance(result, Completion)
    assert re.fullmatch(r"cmpl-[0-9a-f]{32}", result.id)
    assert [choice.text for choice in result.choices] == [choice["text"] for choice in recorded["choices"]]
    assert [c.finish_reason for c in result.choices] == [c["finish_reason"] for c in recorded["choices"]]
    assert tokens(result.usage.model_dump() if result.usage else None) == tokens(recorded["usage"])


@pytest.mark.parametrize("file", recordings("completions", streamed=True))
async def test_streamed_completion(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = await replay(file, monkeypatch, "completion")
    recorded = read(file)["response"]
    texts = [choice.get("text") for chunk in recorded for choice in chunk["choices"]]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "".join(filter(None, texts))
    finishes = [c["finish_reason"] for chunk in recorded for c in chunk["choices"] if c["finish_reason"]]
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == finishes
    counted = [chunk["usage"] for chunk in recorded if chunk.get("usage")]
    assert [tokens(c.usage.model_dump()) for c in chunks if c.usage] == [tokens(u) for u in counted[-1:]]


@pytest.mark.parametrize("file", recordings("embeddings"))
async def test_embeddings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await replay(file, monkeypatch, "embeddings")
    recorded = read(file)["response"]
    assert [row.embedding for row in result.data] == [row["embedding"] for row in recorded["data"]]
    assert [row.index for row in result.data] == list(range(len(recorded["data"])))
    assert result.usage.prompt_tokens == recorded["usage"]["prompt_tokens"]


@pytest.mark.parametrize("file", recordings("models"))
async def test_models(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await replay(file, monkeypatch, "models")
    recorded = read(file)["response"]
    assert [model.provider_resource_id for model in found] == list(dict.fromkeys(row["id"] for row in recorded))
    assert all(model.identifier == f"{model.provider_id}/{model.provider_resource_id}" for model in found)
    assert all(0 <= model.created < 4_000_000_000 for model in found)
    for model in found:
        assert ("embed" in model.identifier) <= (model.model_type != "llm")


@pytest.mark.parametrize("name", ["gemini__1.json", "gemini__2.json", "ollama__1.json"])
def test_error_bodies(name: str) -> None:
    if not (EXCHANGES / name).is_file():
        pytest.skip("the recordings are not here")
    recorded = json.loads((EXCHANGES / name).read_text())["response"]
    plain = Refusals("x").from_response(400, json.dumps(recorded).encode(), {}, About("m"))
    inside = Refusals("x").from_payload(recorded, About("m"))
    for error in (plain, inside):
        assert isinstance(error, InvalidRequest)
        assert recorded["error"]["message"][:400] in error.message


@pytest.mark.skipif(not FILES, reason="the recordings are not here")
def test_every_recording_is_used_or_has_a_reason() -> None:
    used = {"chat", "completions", "embeddings", "models"}
    left = [f.name for f in FILES if not other_protocol(f) and kind_of(json.loads(f.read_text())) not in used]
    assert left == []
