"""Conversations: kept in order, owned, paged, and refused with a place where they are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.errors import Conflict, InvalidRequest, UnknownId

CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}


def run_file(folder: Path) -> dict[str, Any]:
    return {
        "name": "t",
        "providers": {},
        "storage": {
            "backends": {"sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")}},
            "stores": {"conversations": {"table_name": "openai_conversations", "backend": "sql"}},
        },
    }


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack.open(run_file(tmp_path)) as found:
        yield found


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def text_of(item: Any) -> str:
    return str(item.content[0].text)


async def test_a_conversation_outlives_its_stack(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        made = await stack.conversations.create_conversation(metadata={"topic": "x"}, items=[say("hello"), CALL])
        assert made.id.startswith("conv_")
        assert [item.id.partition("_")[0] for item in made.items] == ["msg", "fc"]
        assert [item.status for item in made.items] == ["completed", "completed"]
    async with Stack.open(run_file(tmp_path)) as stack:
        again = await stack.conversations.get_conversation(made.id)
        assert again == made.model_copy(update={"items": None})
        items = await stack.conversations.list_items(made.id, order="asc")
        assert items.data == made.items


async def test_a_text_becomes_the_part_of_its_role(stack: Stack) -> None:
    items = [say("q"), {"role": "assistant", "content": "a"}, say("k", id="msg_mine", status="incomplete")]
    made = await stack.conversations.create_conversation(items=items)
    assert [item.content[0].type for item in made.items] == ["input_text", "output_text", "input_text"]
    assert (made.items[2].id, made.items[2].status) == ("msg_mine", "incomplete")


async def test_metadata_is_replaced(stack: Stack) -> None:
    made = await stack.conversations.create_conversation(metadata={"a": "1", "b": "2"})
    changed = await stack.conversations.update_conversation(made.id, metadata={"c": "3"})
    assert changed.metadata == {"c": "3"}
    assert (await stack.conversations.update_conversation(made.id, metadata=None)).metadata == {}


async def test_metadata_has_limits_and_each_fault_its_place(stack: Stack) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        await stack.conversations.create_conversation(metadata={"k" * 65: "v", "long": "v" * 513, "number": 1})
    places = {str(fault["loc"][1]) for fault in wrong.value.errors}
    assert places == {"k" * 65, "long", "number"}
    with pytest.raises(InvalidRequest, match="metadata"):
        await stack.conversations.create_conversation(metadata={str(number): "v" for number in range(17)})


async def test_pages_walk_the_items_and_end(stack: Stack) -> None:
    made = await stack.conversations.create_conversation()
    for start in (0, 20, 40):
        await stack.conversations.create_items(made.id, items=[say(str(start + n)) for n in range(20)])
    for order, wanted in (("asc", [str(n) for n in range(60)]), ("desc", [str(n) for n in reversed(range(60))])):
        seen: list[str] = []
        after = None
        while True:
            page = await stack.conversations.list_items(made.id, order=order, limit=25, after=after)
            seen += [text_of(item) for item in page.data]
            assert (page.first_id, page.last_id) == (page.data[0].id, page.data[-1].id)
            if not page.has_more:
                break
            after = page.last_id
        assert seen == wanted


async def test_a_cursor_of_another_conversation_is_refused(stack: Stack) -> None:
    one = await stack.conversations.create_conversation(items=[say("x")])
    two = await stack.conversations.create_conversation(items=[say("y")])
    with pytest.raises(InvalidRequest, match=f"{two.id} has no item '{one.items[0].id}'"):
        await stack.conversations.list_items(two.id, after=one.items[0].id)


async def test_appends_at_once_are_all_there_each_in_its_order(stack: Stack) -> None:
    made = await stack.conversations.create_conversation()

    async def append(who: int) -> None:
        await stack.conversations.create_items(made.id, items=[say(f"{who}.{n}") for n in range(20)])

    await asyncio.gather(*(append(who) for who in range(16)))
    texts: list[str] = []
    after = None
    while True:
        page = await stack.conversations.list_items(made.id, order="asc", limit=100, after=after)
        texts += [text_of(item) for item in page.data]
        if not page.has_more:
            break
        after = page.last_id
    assert len(texts) == 320
    blocks = [texts[start : start + 20] for start in range(0, 320, 20)]
    assert sorted(blocks, key=str) == sorted(([f"{who}.{n}" for n in range(20)] for who in range(16)), key=str)


async def test_what_is_left_out_unless_asked_for(stack: Stack) -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "x"}, IMAGE]},
        {"type": "reasoning", "summary": [], "encrypted_content": "secret"},
        {"type": "file_search_call", "queries": ["q"], "results": [{"file_id": "f"}]},
        {"type": "web_search_call", "action": {"type": "search", "query": "q", "sources": [{"url": "http://x"}]}},
    ]
    made = await stack.conversations.create_conversation(items=items)
    image, thought, files, web = (await stack.conversations.list_items(made.id, order="asc")).data
    assert image.content[1].image_url is None
    assert image.content[1].detail == "low"
    assert thought.encrypted_content is None
    assert files.results is None
    assert (web.action.query, web.action.sources) == ("q", None)
    asked = ["message.input_image.image_url", "file_search_call.results"]
    image, thought, files, web = (await stack.conversations.list_items(made.id, order="asc", include=asked)).data
    assert image.content[1].image_url == IMAGE["image_url"]
    assert files.results[0].file_id == "f"
    assert thought.encrypted_content is None
    found = await stack.conversations.get_item(made.id, web.id, include="web_search_call.action.sources")
    assert found.action.sources[0].url == "http://x"


async def test_a_reference_stands_for_the_item(stack: Stack) -> None:
    one = await stack.conversations.create_conversation(items=[say("remember me")])
    two = await stack.conversations.create_conversation(items=[{"type": "item_reference", "id": one.items[0].id}])
    assert two.items == one.items
    with pytest.raises(InvalidRequest) as wrong:
        await stack.conversations.create_items(two.id, items=[say("x"), {"id": "msg_nowhere"}])
    assert wrong.value.errors[0]["loc"] == ["items", 1, "id"]


async def test_an_id_may_be_in_two_conversations_and_once_in_each(stack: Stack) -> None:
    mine = say("x", id="msg_1")
    one = await stack.conversations.create_conversation(items=[mine])
    two = await stack.conversations.create_conversation(items=[mine])
    with pytest.raises(Conflict, match=one.id):
        await stack.conversations.create_items(one.id, items=[say("other"), mine])
    assert len((await stack.conversations.list_items(one.id)).data) == 1, "all or none"
    with pytest.raises(InvalidRequest, match="twice"):
        await stack.conversations.create_items(two.id, items=[say("y", id="msg_2"), say("z", id="msg_2")])


async def test_an_item_is_removed(stack: Stack) -> None:
    made = await stack.conversations.create_conversation(items=[say("a"), say("b")])
    gone, stays = made.items
    assert (await stack.conversations.delete_item(made.id, gone.id)).id == made.id
    assert [item.id for item in (await stack.conversations.list_items(made.id)).data] == [stays.id]
    with pytest.raises(UnknownId, match=gone.id):
        await stack.conversations.get_item(made.id, gone.id)
    with pytest.raises(UnknownId):
        await stack.conversations.delete_item(made.id, gone.id)


async def test_with_a_conversation_its_items_go(stack: Stack) -> None:
    made = await stack.conversations.create_conversation(items=[say("a")])
    assert (await stack.conversations.delete_conversation(made.id)).deleted
    for call in (
        stack.conversations.get_conversation(made.id),
        stack.conversations.list_items(made.id),
        stack.conversations.create_items(made.id, items=[say("b")]),
        stack.conversations.delete_conversation(made.id),
    ):
        with pytest.raises(UnknownId) as unknown:
            await call
        assert unknown.value.status == 400
    other = await stack.conversations.create_conversation()
    with pytest.raises(InvalidRequest, match="no item has this id"):
        await stack.conversations.create_items(other.id, items=[{"id": made.items[0].id}])


async def test_an_unknown_id_names_the_nearest(stack: Stack) -> None:
    made = await stack.conversations.create_conversation(items=[say("a")])
    with pytest.raises(UnknownId) as unknown:
        await stack.conversations.get_conversation(made.id[:-1])
    assert unknown.value.nearest == [made.id]
    with pytest.raises(UnknownId) as lost:
        await stack.conversations.get_item(made.id, made.items[0].id[:-1])
    assert lost.value.nearest == [made.items[0].id]


async def test_nobody_sees_the_conversation_of_another(stack: Stack) -> None:
    with context.request_scope(caller=context.User("ann")):
        made = await stack.conversations.create_conversation(items=[say("secret")])
    with context.request_scope(caller=context.User("bob")):
        for call in (
            stack.conversations.get_conversation(made.id),
            stack.conversations.list_items(made.id),
            stack.conversations.create_items(made.id, items=[say("x")]),
            stack.conversations.delete_conversation(made.id),
        ):
            with pytest.raises(UnknownId) as unknown:
                await call
            assert unknown.value.nearest == []
        with pytest.raises(InvalidRequest, match="no item has this id"):
            await stack.conversations.create_conversation(items=[{"id": made.items[0].id}])
    with context.request_scope(caller=context.User("ann")):
        assert (await stack.conversations.get_conversation(made.id)).id == made.id


@pytest.mark.parametrize("items", [[], [say(str(number)) for number in range(21)]])
async def test_one_to_twenty_items_at_a_time(stack: Stack, items: list[Any]) -> None:
    made = await stack.conversations.create_conversation()
    with pytest.raises(InvalidRequest, match="items"):
        await stack.conversations.create_items(made.id, items=items)
