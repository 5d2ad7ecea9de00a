"""Conversations, prompts and batches."""

from __future__ import annotations

import json
from typing import Any

import llama_stack_client
import pytest

pytestmark = pytest.mark.slow


def say(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def test_conversations(llama: Any, new: bool) -> None:
    made = llama.conversations.create(items=[say("one")], metadata={"topic": "demo"})
    assert (made.object, made.metadata) == ("conversation", {"topic": "demo"})
    assert llama.conversations.retrieve(made.id).id == made.id
    assert llama.conversations.update(made.id, metadata={"topic": "other"}).metadata == {"topic": "other"}
    items = llama.conversations.items
    added = items.create(made.id, items=[say("two"), say("three")])
    assert [item.type for item in added.data] == ["message", "message"]
    page = items.list(made.id, limit=2, order="asc", **({} if new else {"after": OMIT, "include": OMIT}))
    assert [item.content[0].text for item in page.data] == ["one", "two"]
    second = items.list(made.id, after=page.data[-1].id, limit=2, order="asc", **({} if new else {"include": OMIT}))
    assert [item.content[0].text for item in second.data] == ["three"]
    assert items.get(added.data[0].id, conversation_id=made.id).content[0].text == "two"
    if new:
        assert items.delete(added.data[0].id, conversation_id=made.id).id == made.id
        assert len(items.list(made.id).data) == 2
    assert llama.conversations.delete(made.id).deleted
    with pytest.raises(llama_stack_client.BadRequestError, match="not found"):
        llama.conversations.retrieve(made.id)


OMIT = llama_stack_client.NOT_GIVEN


def test_prompts(llama: Any, new: bool) -> None:
    if not new:  # that version has no resource for them
        made = llama.post("/v1/prompts", cast_to=object, body={"prompt": "Say {{ a }}", "variables": ["a"]})
        body = {"prompt": "Tell {{ a }}", "variables": ["a"], "version": 1}
        for verb, version in ((llama.put, 2), (llama.post, 3)):
            changed = verb(f"/v1/prompts/{made['prompt_id']}", cast_to=object, body=body | {"version": version - 1})
            assert (changed["version"], changed["is_default"]) == (version, True)
        llama.delete(f"/v1/prompts/{made['prompt_id']}", cast_to=object)
        return
    made = llama.prompts.create(prompt="Say {{ a }}", variables=["a"])
    assert (made.version, made.variables) == (1, ["a"])
    changed = llama.prompts.update(
        made.prompt_id, prompt="Tell {{ a }}", version=1, variables=["a"], set_as_default=False
    )
    assert (changed.version, changed.is_default) == (2, False)
    assert llama.prompts.retrieve(made.prompt_id).version == 1
    assert llama.prompts.retrieve(made.prompt_id, version=2).prompt == "Tell {{ a }}"
    assert llama.prompts.set_default_version(made.prompt_id, version=2).is_default
    assert [row.version for row in llama.prompts.versions.list(made.prompt_id)] == [1, 2]
    assert made.prompt_id in {row.prompt_id for row in llama.prompts.list()}
    llama.prompts.delete(made.prompt_id)
    with pytest.raises(llama_stack_client.APIStatusError, match="not found"):
        llama.prompts.retrieve(made.prompt_id)


def test_batches(llama: Any, new: bool) -> None:
    body = {"model": "up/tiny", "messages": [{"role": "user", "content": "echo:one"}]}
    lines = [{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}]
    file = llama.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch").id
    given = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    if not new:  # that version has no resource for them
        made = llama.post("/v1/batches", cast_to=object, body=given)
        while made["status"] not in ("completed", "failed"):
            made = llama.get(f"/v1/batches/{made['id']}", cast_to=object)
        output = made["output_file_id"]
        assert made["id"] in {row["id"] for row in llama.get("/v1/batches", cast_to=object)["data"]}
    else:
        batch = llama.batches.create(**given, metadata={"k": "v"})
        while batch.status not in ("completed", "failed"):
            batch = llama.batches.retrieve(batch.id)
        assert (batch.status, batch.request_counts.completed, batch.metadata) == ("completed", 1, {"k": "v"})
        assert batch.id in {row.id for row in llama.batches.list(limit=2)}
        with pytest.raises(llama_stack_client.ConflictError, match=batch.id):
            llama.batches.cancel(batch.id)
        output = batch.output_file_id
    line = json.loads(llama.files.with_raw_response.content(output).read())
    assert line["response"]["body"]["choices"][0]["message"]["content"] == "one"


def test_responses(llama: Any) -> None:
    made = llama.responses.create(model="up/tiny", input="echo:one")
    assert (made.status, made.output[-1].content[0].text) == ("completed", "one")
    assert llama.responses.retrieve(made.id).id == made.id
    assert made.id in {row.id for row in llama.responses.list(limit=100).data}
    assert len(llama.responses.input_items.list(made.id, limit=5).data) == 1
    more = llama.responses.create(model="up/tiny", input="echo:two", previous_response_id=made.id)
    assert more.previous_response_id == made.id
    kinds = [event.type for event in llama.responses.create(model="up/tiny", input="echo:three", stream=True)]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert "response.output_text.done" in kinds
    assert llama.responses.delete(made.id).deleted
