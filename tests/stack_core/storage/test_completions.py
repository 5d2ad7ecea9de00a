"""The repository of stored chat completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core.errors import InvalidRequest, NotFound
from stack_core.storage.completions import StoredCompletions
from stack_core.storage.sqlite import open_sqlite

ASKED = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoredCompletions]:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        yield StoredCompletions(sql)


def body(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "object": "chat.completion", "choices": [], **more}


async def add(store: StoredCompletions, id: str, created: int = 100, model: str = "m", owner: str | None = None) -> str:
    return await store.add(id=id, created=created, model=model, completion=body(id), input_messages=ASKED, owner=owner)


async def ids(store: StoredCompletions, **how: Any) -> tuple[list[str], bool]:
    page = await store.list(**how)
    return [row["id"] for row in page.data], page.has_more


async def test_what_was_added_is_given_back(store: StoredCompletions) -> None:
    made = body("c1", choices=[{"index": 0}])
    await store.add(id="c1", created=1, model="m", completion=lambda: json.dumps(made), input_messages=ASKED)
    assert await store.get("c1") == {**made, "input_messages": ASKED}
    with pytest.raises(NotFound):
        await store.get("c2")


async def test_pages_go_through_all_once_in_order(store: StoredCompletions) -> None:
    created = [5, 5, 5, 3, 9, 5]  # most in one second, some out of order
    for i, when in enumerate(created):
        await add(store, f"c{i}", when)
    for order, expected in (
        ("asc", ["c3", "c0", "c1", "c2", "c5", "c4"]),
        ("desc", ["c4", "c5", "c2", "c1", "c0", "c3"]),
    ):
        for limit in (1, 2, 4, 6, 7):
            seen: list[str] = []
            more, after = True, None
            while more:
                page, more = await ids(store, order=order, limit=limit, after=after)
                assert page
                seen += page
                after = page[-1]
            assert seen == expected


async def test_the_list_is_newest_first_by_default_and_filters_by_model(store: StoredCompletions) -> None:
    for i, model in enumerate("abab"):
        await add(store, f"c{i}", 100, model)
    assert await ids(store) == (["c3", "c2", "c1", "c0"], False)
    assert await ids(store, model="a", limit=1) == (["c2"], True)
    assert await ids(store, model="a", limit=1, after="c2") == (["c0"], False)
    assert await ids(store, model="z") == ([], False)


async def test_an_unknown_after_is_the_callers_fault(store: StoredCompletions) -> None:
    with pytest.raises(InvalidRequest, match="nope"):
        await store.list(after="nope")


async def test_an_unknown_id_names_the_nearest_of_the_callers_own(store: StoredCompletions) -> None:
    await add(store, "chatcmpl-12", owner="ann")
    await add(store, "chatcmpl-13", owner="bob")
    for ask in (store.get("chatcmpl-1", owner="ann"), store.remove("chatcmpl-1", owner="ann")):
        with pytest.raises(NotFound) as caught:
            await ask
        assert caught.value.nearest == ["chatcmpl-12"]


async def test_an_owner_sees_only_what_is_theirs(store: StoredCompletions) -> None:
    await add(store, "mine", owner="ann")
    await add(store, "theirs", owner="bob")
    assert await ids(store, owner="ann") == (["mine"], False)
    assert await ids(store) == (["theirs", "mine"], False)
    with pytest.raises(NotFound):
        await store.get("theirs", owner="ann")
    with pytest.raises(InvalidRequest):
        await store.list(after="theirs", owner="ann")


async def test_answers_of_one_id_are_all_stored(store: StoredCompletions) -> None:
    stored = await asyncio.gather(*(add(store, "same") for _ in range(40)))
    page, _ = await ids(store, limit=100)
    assert sorted(page) == sorted(stored)
    assert len(set(stored)) == 40
    assert "same" in stored
    assert (await store.get(stored[7]))["id"] == stored[7]


async def test_the_table_has_the_name_of_the_run_file(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        await add(StoredCompletions(sql, "elsewhere"), "c1")
        assert [row["id"] for row in await sql.select("elsewhere")] == ["c1"]


async def test_metadata_finds_what_has_all_its_pairs(store: StoredCompletions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack_core.storage.completions.LOOKED_THROUGH", 4)
    for number in range(23):
        tags = {"third": str(number % 3), "half": str(number % 2)} if number != 7 else None
        made = body(f"c{number}", metadata=tags)
        await store.add(id=f"c{number}", created=1, model="m", completion=made, input_messages=ASKED)
    wanted = [f"c{number}" for number in range(23) if number % 6 == 3]
    assert await ids(store, metadata={"third": "0", "half": "1"}, order="asc") == (wanted, False)
    seen: list[str] = []
    more, after = True, None
    while more:
        page, more = await ids(store, metadata={"third": "0", "half": "1"}, order="asc", limit=1, after=after)
        seen, after = seen + page, page[-1]
    assert seen == wanted
    assert await ids(store, metadata={"third": "9"}) == ([], False)


async def test_metadata_is_replaced_and_the_rest_stays(store: StoredCompletions) -> None:
    await store.add(id="c1", created=1, model="m", completion=body("c1", metadata={"a": "1"}), input_messages=ASKED)
    changed = await store.update("c1", {"b": "2"})
    assert changed == {**body("c1", metadata={"b": "2"}), "input_messages": ASKED}
    assert await store.get("c1") == changed


async def test_what_was_removed_is_gone_and_nobody_touches_what_is_anothers(store: StoredCompletions) -> None:
    await add(store, "c1", owner="ann")
    for call in (store.update("c1", {}, owner="bob"), store.remove("c1", owner="bob"), store.remove("c2")):
        with pytest.raises(NotFound):
            await call
    await store.remove("c1", owner="ann")
    with pytest.raises(NotFound):
        await store.get("c1")
