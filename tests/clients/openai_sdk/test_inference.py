"""Models, chat and what is kept of it, completions, embeddings."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.clients.whole import embeddings
from tests.stack_core.running import ECHO, HI, WEATHER, WORDS, Fact, Running

pytestmark = pytest.mark.slow


def test_models(client: openai.OpenAI) -> None:
    rows = {model.id: model for model in client.models.list()}
    assert rows.keys() >= {"up/tiny", "up/embed", embeddings()[0]}
    found = client.models.retrieve("up/tiny")
    assert (found.id, found.object, found.owned_by, found.created >= 0) == ("up/tiny", "model", "up", True)
    client.post("/models", cast_to=object, body={"model_id": "fast", "provider_id": "up", "provider_model_id": "tiny"})
    assert client.chat.completions.create(model="fast", messages=ECHO).choices[0].message.content == "hello there"
    assert client.models.delete("fast").deleted
    with pytest.raises(openai.NotFoundError, match="fast"):
        client.models.retrieve("fast")


def test_chat(client: openai.OpenAI, running: Running) -> None:
    answer = client.chat.completions.create(
        model="up/tiny", messages=HI, max_completion_tokens=9, temperature=0.5, extra_body={"top_k": 3}
    )
    assert (answer.choices[0].message.content, answer.model) == (WORDS, "up/tiny")
    body = running.service.requests()[-1]["body"]
    assert (body["temperature"], body["top_k"]) == (0.5, 3)
    stream = client.chat.completions.create(
        model="up/tiny", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WORDS
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [8]
    called = client.chat.completions.create(model="up/tiny", messages=HI, tools=[WEATHER])
    assert called.choices[0].message.tool_calls
    parsed = client.chat.completions.parse(model="up/tiny", messages=HI, response_format=Fact)
    assert parsed.choices[0].message.parsed == Fact(name="text", count=7)


def test_kept_completions(client: openai.OpenAI) -> None:
    kept = client.chat.completions
    made = [kept.create(model="up/tiny", messages=ECHO, store=True, metadata={"lot": str(n)}).id for n in range(3)]
    assert set(made) <= {row.id for row in kept.list(model="up/tiny", limit=2)}
    assert kept.retrieve(made[0]).choices[0].message.content == "hello there"
    assert kept.update(made[0], metadata={"lot": "new"}).metadata == {"lot": "new"}
    assert made[0] in {row.id for row in kept.list(metadata={"lot": "new"}, order="asc")}
    assert [message.content for message in kept.messages.list(made[0], limit=1)] == ["echo:hello there"]
    gone = kept.delete(made[0])
    assert (gone.id, gone.deleted) == (made[0], True)
    for ask in (kept.retrieve, kept.delete, kept.messages.list):
        with pytest.raises(openai.NotFoundError, match="not found"):
            ask(made[0])


def test_completions_and_embeddings(client: openai.OpenAI) -> None:
    assert client.completions.create(model="up/tiny", prompt="once").choices[0].text == WORDS
    pieces = client.completions.create(model="up/tiny", prompt="once", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == WORDS
    model, dimension = embeddings()
    for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        answer = client.embeddings.create(model=model, input=["a cat", "a dog"], **options)  # type: ignore[arg-type]  # a literal in a mapping
        assert len(answer.data) == 2
        assert options.get("encoding_format") == "base64" or len(answer.data[0].embedding) == dimension


async def test_without_blocking(aclient: openai.AsyncOpenAI) -> None:
    answer = await aclient.chat.completions.create(model="up/tiny", messages=ECHO)
    assert answer.choices[0].message.content == "hello there"
    stream: Any = await aclient.chat.completions.create(model="up/tiny", messages=HI, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == WORDS
    file = await aclient.files.create(file=("a.txt", b"text"), purpose="user_data")
    assert file.id in {row.id async for row in aclient.files.list(purpose="user_data", limit=1)}
    assert (await aclient.files.content(file.id)).content == b"text"
