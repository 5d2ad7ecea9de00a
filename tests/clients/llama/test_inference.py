"""Models, chat, completions, embeddings and rerank."""

from __future__ import annotations

import json
from typing import Any

import llama_stack_client
import pytest

from tests.clients.whole import embeddings
from tests.stack_core.running import ECHO, HI, WEATHER, WORDS, Running

pytestmark = pytest.mark.slow


def test_models(llama: Any) -> None:
    rows = {getattr(row, "identifier", None) or row.id: row for row in llama.models.list()}
    assert rows.keys() >= {"up/tiny", "up/other", "up/embed"}
    row = llama.models.retrieve("up/tiny").to_dict()
    assert (row["identifier"], row["provider_id"], row["provider_resource_id"]) == ("up/tiny", "up", "tiny")
    assert (row["id"], row["object"], row["owned_by"], row["model_type"]) == ("up/tiny", "model", "up", "llm")
    assert {row.id for row in llama.models.openai.list()} >= {"up/tiny"}


def test_a_model_under_a_name_of_its_own(llama: Any, new: bool) -> None:
    given = {"model_id": "mine", "provider_id": "up", "provider_model_id": "tiny", "model_type": "llm"}
    if new:  # it has no method for it
        llama.post("/v1/models", cast_to=object, body=given)
    else:
        assert llama.models.register(**given, metadata={"a": 1}).identifier == "mine"
    assert llama.chat.completions.create(model="mine", messages=ECHO).choices[0].message.content == "hello there"
    if new:
        llama.delete("/v1/models/mine", cast_to=object)
    else:
        llama.models.unregister("mine")
    with pytest.raises(llama_stack_client.NotFoundError, match="mine"):
        llama.models.retrieve("mine")


def test_chat(llama: Any, running: Running) -> None:
    answer = llama.chat.completions.create(
        model="up/tiny", messages=HI, temperature=0.5, max_tokens=9, stop=["x"], seed=3, user="me", top_p=0.9
    )
    assert answer.choices[0].message.content == WORDS
    body = running.service.requests()[-1]["body"]
    assert (body["temperature"], body["max_tokens"], body["stop"], body["seed"]) == (0.5, 9, ["x"], 3)
    stream = llama.chat.completions.create(
        model="up/tiny", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WORDS
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [8]
    tools = llama.chat.completions.create(model="up/tiny", messages=HI, tools=[WEATHER], tool_choice="auto")
    call = tools.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "x"})


def test_kept_completions(llama: Any) -> None:
    made = [llama.chat.completions.create(model="up/other", messages=ECHO).id for _ in range(3)]
    assert len(set(made)) == 3, "the service gives all of them one id"
    page = llama.chat.completions.list(model="up/other", limit=2, order="asc")
    assert (len(page.data), page.has_more) == (2, True)
    rest = llama.chat.completions.list(model="up/other", limit=100, order="asc", after=page.last_id)
    assert set(made) <= {row.id for row in (*page.data, *rest.data)}
    found = llama.chat.completions.retrieve(made[0])
    assert (found.model, found.choices[0].message.content) == ("up/other", "hello there")
    assert found.input_messages[0].content == "echo:hello there"
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        llama.chat.completions.retrieve("chatcmpl-none")


def test_completions(llama: Any) -> None:
    answer = llama.completions.create(model="up/tiny", prompt="once", max_tokens=5, temperature=0, user="me")
    assert answer.choices[0].text == WORDS
    pieces = llama.completions.create(model="up/tiny", prompt="once", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == WORDS


def test_embeddings(llama: Any) -> None:
    model, dimension = embeddings()
    answer = llama.embeddings.create(model=model, input=["a cat", "a dog"], encoding_format="float", user="me")
    assert [len(row.embedding) for row in answer.data] == [dimension, dimension]
    assert answer.model == model
    assert llama.embeddings.create(model="up/embed", input="abc").data[0].embedding[:2] == [3.0, 4.0]


def test_rerank(llama: Any) -> None:
    items = ["dogs bark", "cats purr and sleep", "fish swim"]
    rows = llama.alpha.inference.rerank(model="up/tiny", query="cats sleep", items=items, max_num_results=2)
    assert [row.index for row in rows] == [1, 0]
    assert rows[0].relevance_score > rows[1].relevance_score


async def test_without_blocking(allama: Any) -> None:
    answer = await allama.chat.completions.create(model="up/tiny", messages=ECHO)
    assert answer.choices[0].message.content == "hello there"
    stream = await allama.chat.completions.create(model="up/tiny", messages=HI, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == WORDS
    assert "up/tiny" in {row.id for row in await allama.models.openai.list()}


def test_fields_that_nobody_knows(llama: Any, running: Running) -> None:
    """A service gets what its caller sends beside the known fields; without a service behind it, it is refused."""
    llama.embeddings.create(model="up/embed", input="x", extra_body={"truncate": "END"})
    assert running.service.requests()[-1]["body"]["truncate"] == "END"
    llama.completions.create(model="up/tiny", prompt="x", extra_body={"top_k": 3})
    assert running.service.requests()[-1]["body"]["top_k"] == 3
    given: dict[str, Any] = {"model_id": "x", "provider_id": "up", "provider_model_id": "tiny"}
    with pytest.raises(llama_stack_client.BadRequestError, match="colour"):
        llama.post("/v1/models", cast_to=object, body=given | {"colour": "red"})
    with pytest.raises(llama_stack_client.NotFoundError, match="tini"):
        llama.post("/v1/models", cast_to=object, body=given | {"provider_model_id": "tini", "model_validation": True})
    model, _ = embeddings()
    if model.startswith("minilm/"):
        with pytest.raises(llama_stack_client.BadRequestError, match="colour"):
            llama.embeddings.create(model=model, input="x", extra_body={"colour": "red"})
        with pytest.raises(llama_stack_client.BadRequestError, match="colour"):
            llama.alpha.inference.rerank(model=model, query="x", items=["y"], extra_body={"colour": "red"})
