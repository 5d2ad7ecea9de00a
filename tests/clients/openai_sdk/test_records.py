"""Conversations with their items, and batches until they are done."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.clients.whole import embeddings

pytestmark = pytest.mark.slow


def say(text: Any) -> Any:
    return {"type": "message", "role": "user", "content": text}


def test_conversations(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "demo"}, items=[say("one")])
    found = client.conversations.retrieve(made.id)
    assert (found.id, found.created_at, found.metadata) == (made.id, made.created_at, {"topic": "demo"})
    assert client.conversations.update(made.id, metadata={"topic": "x"}).metadata == {"topic": "x"}
    items = client.conversations.items
    image = {"type": "input_image", "image_url": "https://example.com/x.png", "detail": "auto"}
    added = items.create(made.id, items=[say("two"), say([image])])
    assert len(list(items.list(made.id, limit=2, order="asc"))) == 3
    first: Any = items.retrieve(added.data[0].id or "", conversation_id=made.id)
    assert first.content[0].text == "two"
    assert items.delete(added.data[0].id or "", conversation_id=made.id).id == made.id
    assert len(items.list(made.id).data) == 2
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.BadRequestError, match="not found"):
        items.list(made.id)


def lines(url: str, bodies: list[dict[str, Any]]) -> bytes:
    rows = [{"custom_id": f"r{n}", "method": "POST", "url": url, "body": body} for n, body in enumerate(bodies)]
    return "\n".join(map(json.dumps, rows)).encode()


def done(client: openai.OpenAI, batch: Any) -> Any:
    """The batch when it has ended."""
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        batch = client.batches.retrieve(batch.id)
    return batch


REQUESTS: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"model": "up/tiny", "messages": [{"role": "user", "content": f"echo:{text}"}]} for text in "ab"
    ],
    "/v1/completions": [{"model": "up/tiny", "prompt": "once"}],
    "/v1/embeddings": [{"model": embeddings()[0], "input": "text"}],
}


@pytest.mark.parametrize("url", REQUESTS)
def test_batches(client: openai.OpenAI, url: Any) -> None:
    file = client.files.create(file=("in.jsonl", lines(url, REQUESTS[url])), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h", metadata={"team": "a"})
    assert (made.object, made.endpoint, made.metadata) == ("batch", url, {"team": "a"})
    batch = done(client, made)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    assert batch.request_counts.to_dict() == {
        "total": len(REQUESTS[url]), "completed": len(REQUESTS[url]), "failed": 0
    }  # fmt: skip
    rows = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert {row["custom_id"] for row in rows} == {f"r{n}" for n in range(len(rows))}
    assert all(row["response"]["status_code"] == 200 and row["error"] is None for row in rows)
    assert all(isinstance(row["response"]["body"], dict) for row in rows)
    assert batch.id in {row.id for row in client.batches.list(limit=1)}


def test_a_batch_with_faults_and_one_that_is_stopped(client: openai.OpenAI) -> None:
    url: Any = "/v1/chat/completions"
    bodies = [REQUESTS[url][0], {"model": "up/none", "messages": [say("x")]}]
    file = client.files.create(file=("in.jsonl", lines(url, bodies) + b"\n{"), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id, endpoint=url, completion_window="24h",
        output_expires_after={"anchor": "created_at", "seconds": 3600},
    )  # fmt: skip
    batch = done(client, made)
    assert (batch.status, batch.request_counts.completed) == ("completed", 1)
    faults = client.files.content(batch.error_file_id).text
    assert "none" in json.loads(faults.splitlines()[0])["response"]["body"]["error"]["message"], faults
    assert "line 3" in faults
    output = client.files.retrieve(batch.output_file_id)
    assert output.expires_at == output.created_at + 3600
    slow = [REQUESTS[url][0] | {"upstream": {"delay": 30}} for _ in range(3)]
    file = client.files.create(file=("in.jsonl", lines(url, slow)), purpose="batch")
    running = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h")
    assert client.batches.cancel(running.id).status in ("cancelling", "cancelled")
    with pytest.raises(openai.ConflictError, match="completed"):
        client.batches.cancel(batch.id)
