"""Where Llama Stack falls short of its clients, and this stack must not: what is not said by a client's own test."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from tests.clients.whole import embeddings
from tests.stack_core.running import ECHO, Running

pytestmark = pytest.mark.slow

REFUSED: list[tuple[int, str, str, Any]] = [
    (404, "GET", "/v1/none", None),
    (404, "GET", "/v1/models/none", None),
    (404, "GET", "/v1/files/file-none/content", None),
    (400, "GET", "/v1/vector_stores/vs_none", None),
    (405, "DELETE", "/v1/chat/completions", None),
    (400, "POST", "/v1/chat/completions", b"{"),
    (400, "POST", "/v1/chat/completions", {"model": "up/tiny", "messages": []}),
    (404, "POST", "/v1/chat/completions", {"model": "up/none", "messages": ECHO, "stream": True}),
    (404, "POST", "/v1/none", {"text": "x" * 200_000}),
    (400, "POST", "/v1/files", b"no form"),
    (501, "GET", "/v1/post-training/jobs", None),
    (404, "POST", "/v1/batches/batch_none/cancel", None),
    (405, "PUT", "/v1/models/none", {"a": 1}),
]


def test_a_connection_outlives_every_refusal(running: Running) -> None:
    connection = HTTPConnection(urlsplit(running.url).netloc)
    connection.connect()
    first = connection.sock
    for status, verb, path, body in REFUSED:
        sent = body if isinstance(body, bytes | None) else json.dumps(body)
        connection.request(verb, path, body=sent, headers={"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert (answer.status, connection.sock is first) == (status, True), (verb, path, told)
        assert told["detail"]
        assert told["error"]["message"]
    connection.close()


def test_a_model_has_the_fields_of_both_families(running: Running) -> None:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none") as client:
        rows = {row.id: row.to_dict() for row in client.models.list()}
    row = rows[embeddings()[0]]
    old = {"identifier", "provider_id", "provider_resource_id", "model_type", "type", "metadata"}
    assert row.keys() >= old | {"id", "object", "created", "owned_by", "custom_metadata"}
    assert (row["identifier"], row["model_type"], row["type"]) == (row["id"], "embedding", "model")


def test_the_older_spelling_of_openai_s_urls(running: Running) -> None:
    with openai.OpenAI(base_url=running.url + "/v1/openai/v1", api_key="none") as client:
        assert client.chat.completions.create(model="up/tiny", messages=ECHO).choices[0].message.content
        file = client.files.create(file=("a.txt", b"text"), purpose="assistants")
        store = client.vector_stores.create(name="x", file_ids=[file.id])
        assert [row.id for row in client.vector_stores.files.list(store.id)] == [file.id]
        assert client.embeddings.create(model="up/embed", input="x").data
        assert client.completions.create(model="up/tiny", prompt="x").choices
        assert client.conversations.delete(client.conversations.create().id).deleted
        assert client.models.retrieve("up/tiny").id == "up/tiny"
        assert isinstance(client.batches.list(limit=1).data, list)
        with pytest.raises(openai.BadRequestError, match="shield"):
            client.moderations.create(input="x", model="none")


def test_chunks_by_both_names_of_a_store(running: Running) -> None:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none") as client:
        store = client.vector_stores.create(name="x").id
        for name in ("vector_db_id", "vector_store_id"):
            chunk = {"content": f"by {name}", "metadata": {"document_id": name}}
            client.post("/vector-io/insert", cast_to=object, body={name: store, "chunks": [chunk]})
            found: Any = client.post("/vector-io/query", cast_to=object, body={name: store, "query": name})
            assert name in {row["metadata"]["document_id"] for row in found["chunks"]}
        with pytest.raises(openai.BadRequestError, match="vector_store_id"):
            client.post("/vector-io/query", cast_to=object, body={"query": "x"})
