"""The real clients on what the stack keeps: conversations and stored chat completions, in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from stack_core import Stack
from stack_core.transport import in_process_transport
from tests.stack_core.test_stack import run_file


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    async with Stack.open(run_file(tmp_path)) as stack:
        http = httpx2.AsyncClient(transport=in_process_transport(stack, httpx2))
        async with openai.AsyncOpenAI(
            api_key="none", base_url="http://stack/v1", http_client=http, max_retries=0
        ) as found:
            yield found


def say(text: Any, **more: Any) -> Any:
    return {"role": "user", "content": text, **more}


async def test_conversations(client: openai.AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"topic": "demo"}, items=[say("Hello!")])
    assert (made.object, made.metadata) == ("conversation", {"topic": "demo"})
    assert (await client.conversations.retrieve(made.id)).id == made.id
    changed = await client.conversations.update(made.id, metadata={"topic": "other"})
    assert changed.metadata == {"topic": "other"}
    gone = await client.conversations.delete(made.id)
    assert (gone.object, gone.deleted) == ("conversation.deleted", True)
    with pytest.raises(openai.BadRequestError, match="not found"):
        await client.conversations.retrieve(made.id)


async def test_items(client: openai.AsyncOpenAI) -> None:
    made = await client.conversations.create()
    image = {"type": "input_image", "image_url": "https://example.com/x.png", "detail": "auto"}
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    added = await client.conversations.items.create(
        made.id,
        items=[say("a"), say([image]), call, {**call, "type": "function_call_output", "output": "sun"}],  # type: ignore[list-item]  # plain mappings
    )
    assert [item.type for item in added.data] == ["message", "message", "function_call", "function_call_output"]
    first: Any = await client.conversations.items.retrieve(added.data[0].id or "", conversation_id=made.id)
    assert first.content[0].text == "a"
    walked = [item.id async for item in client.conversations.items.list(made.id, limit=3, order="asc")]
    assert walked == [item.id for item in added.data]
    shown: Any = await client.conversations.items.retrieve(
        added.data[1].id or "", conversation_id=made.id, include=["message.input_image.image_url"]
    )
    assert shown.content[0].image_url == image["image_url"]
    left = await client.conversations.items.delete(added.data[0].id or "", conversation_id=made.id)
    assert left.id == made.id
    assert len((await client.conversations.items.list(made.id)).data) == 3


async def test_a_wrong_item_is_refused_with_its_place(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"items\.1"):
        await client.conversations.create(items=[say("x"), {"type": "mesage"}])  # type: ignore[list-item,typeddict-item]  # wrong on purpose


async def test_stored_completions(client: openai.AsyncOpenAI) -> None:
    made = []
    for text, tag in (("one", "a"), ("two", "b"), ("three", "a")):
        answer = await client.chat.completions.create(
            model="echo/one", messages=[say(text)], store=True, metadata={"tag": tag, "text": text}
        )
        made.append(answer.id)
    assert [row.id async for row in client.chat.completions.list(order="asc", limit=2)] == made
    tagged = client.chat.completions.list(metadata={"tag": "a"}, order="asc", limit=1)
    assert [row.id async for row in tagged] == [made[0], made[2]]
    none = await client.chat.completions.list(metadata={"tag": "a", "text": "two"})
    assert none.data == []
    changed = await client.chat.completions.update(made[1], metadata={"tag": "a"})
    assert (changed.id, changed.metadata) == (made[1], {"tag": "a"})
    assert len((await client.chat.completions.list(metadata={"tag": "a"})).data) == 3
    gone = await client.chat.completions.delete(made[1])
    assert (gone.id, gone.deleted, gone.object) == (made[1], True, "chat.completion.deleted")
    for call in (client.chat.completions.retrieve(made[1]), client.chat.completions.delete(made[1])):
        with pytest.raises(openai.NotFoundError):
            await call


async def test_the_messages_of_a_stored_completion(client: openai.AsyncOpenAI) -> None:
    parts = [{"type": "text", "text": "last "}, {"type": "text", "text": "one"}]
    asked = [{"role": "system", "content": "be brief"}, say("first"), say(parts)]
    answer = await client.chat.completions.create(model="echo/one", messages=asked, store=True)  # type: ignore[arg-type]  # plain mappings
    messages = client.chat.completions.messages
    walked = [message async for message in messages.list(answer.id, limit=2)]
    assert [(row.role, row.content) for row in walked] == [
        ("system", "be brief"),
        ("user", "first"),
        ("user", "last one"),
    ]
    assert [row.content_parts is None for row in walked] == [True, True, False]
    assert [row.id for row in walked] == [f"{answer.id}-{number}" for number in range(3)]
    backwards = await messages.list(answer.id, order="desc", limit=1)
    assert (backwards.data[0].id, backwards.has_more) == (walked[2].id, True)
    with pytest.raises(openai.BadRequestError, match="no message"):
        await messages.list(answer.id, after="chatcmpl-x-1")


async def test_models_say_what_was_deleted(client: openai.AsyncOpenAI) -> None:
    await client.post(
        "/models", cast_to=object, body={"model_id": "fast", "provider_id": "echo", "provider_model_id": "one"}
    )
    gone = await client.models.delete("fast")
    assert (gone.id, gone.object, gone.deleted) == ("fast", "model", True)


async def test_llama_stacks_own_client(tmp_path: Path) -> None:
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    import httpx

    async with Stack.open(run_file(tmp_path)) as stack:
        http = httpx.AsyncClient(transport=in_process_transport(stack, httpx))
        async with package.AsyncLlamaStackClient(base_url="http://stack", http_client=http, max_retries=0) as client:
            first = {"type": "message", **say("one")}
            made = await client.conversations.create(items=[first], metadata={"a": "b"})
            added = await client.conversations.items.create(made.id, items=[{"type": "message", **say("two")}])
            assert added.data[0].content[0].text == "two"
            listed = await client.conversations.items.list(
                made.id, after=added.last_id, include=["file_search_call.results"], limit=5, order="desc"
            )
            assert [item.content[0].text for item in listed.data] == ["one"]
            item = await client.conversations.items.get(added.last_id, conversation_id=made.id)
            assert item.content[0].text == "two"
            assert (await client.conversations.update(made.id, metadata={"z": "1"})).metadata == {"z": "1"}
            assert (await client.conversations.delete(made.id)).deleted
            with pytest.raises(package.BadRequestError, match="not found"):
                await client.conversations.retrieve(made.id)
