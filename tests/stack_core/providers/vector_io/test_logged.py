"""Indexes in memory on one store: what several processes write is seen by all of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from stack_core import context
from stack_core.apis.vector_io import Entry
from stack_core.errors import StoreUnavailable, UnknownId
from stack_core.providers.vector_io import _bases, _logged
from stack_core.providers.vector_io._faiss import Faiss
from stack_core.storage.backends import Backends

Pair = tuple[Faiss, Faiss]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Two indexes as two workers have them; both have opened the collection `c`."""
    before = context.shared.set(True)
    async with Backends({"kv": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")}}) as backends:
        one, other = (Faiss(Faiss.Config(), backends.kv("kv", "vectors")) for _ in range(2))
        await one.create("c", 2)
        assert await ids(one) == await ids(other) == []
        yield one, other
    context.shared.reset(before)


def entry(id: str) -> Entry:
    """An entry of this id."""
    return Entry(id, f"text of {id}", [1.0, 2.0], {}, "{}")


async def ids(index: Faiss) -> list[str]:
    """What a search finds."""
    return sorted(hit.id for hit in await index.nearest("c", [1.0, 2.0], 100))


async def test_each_sees_what_the_other_puts_and_removes(pair: Pair) -> None:
    one, other = pair
    for number in range(4):
        await pair[number % 2].put("c", [entry(f"e{number}")])
    assert await ids(one) == await ids(other) == ["e0", "e1", "e2", "e3"]
    await one.remove("c", ["e1"])
    await other.remove("c", ["e2"])
    assert await ids(one) == await ids(other) == ["e0", "e3"]


async def test_each_sees_that_the_other_wrote_its_log_anew(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair
    monkeypatch.setattr(_logged, "LEAST_DEAD", 2)
    await one.put("c", [entry(f"e{number}") for number in range(5)])
    assert len(await ids(other)) == 5
    await one.remove("c", ["e0", "e1", "e2"])
    await one.remove("c", ["e3"])
    assert await ids(other) == ["e4"]
    await other.put("c", [entry("f")])
    assert await ids(one) == ["e4", "f"]


async def test_nothing_is_left_of_a_collection_that_is_dropped(pair: Pair) -> None:
    one, other = pair
    await one.put("c", [entry("a")])
    await other.put("c", [entry("b")])
    await one.drop("c")
    assert await one._store.scan("") == []


async def afresh(index: Faiss) -> list[str]:
    """What an index finds that opens the store now."""
    return await ids(Faiss(Faiss.Config(), index._store))


def before_writing(
    index: Faiss, place: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[None]]
) -> list[str]:
    """Let `act` happen once, right before an index writes a row whose key has this in it; gives that key."""
    write, met = index._store.set, list[str]()

    async def write_after(key: str, value: str) -> None:
        if place in key and not met:
            met.append(key)
            await act()
        await write(key, value)

    monkeypatch.setattr(index._store, "set", write_after)
    return met


async def ready_to_be_written_anew(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six entries, three of them removed: the next removal lets the log be written anew."""
    one, other = pair
    monkeypatch.setattr(_logged, "LEAST_DEAD", 3)
    await one.put("c", [entry(f"e{number}") for number in range(6)])
    await one.remove("c", ["e0", "e1", "e2"])
    assert await ids(other) == ["e3", "e4", "e5"]


async def test_what_another_removed_before_a_log_is_written_anew_stays_removed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    await ready_to_be_written_anew(pair, monkeypatch)
    one._open["c"].tails._patience = 60
    await other.put("c", [entry("f")])
    await other.remove("c", ["e4"])
    await one.remove("c", ["e3"])
    assert await ids(one) == await ids(other) == await afresh(one) == ["e5", "f"]
    assert any(_bases.FIRST in key for key, _ in await one._store.scan("log/"))


@pytest.mark.parametrize("place", [f"/{_bases.FIRST}", "head/"])
async def test_what_another_does_while_a_log_is_written_anew_keeps_its_effect(
    place: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    await ready_to_be_written_anew(pair, monkeypatch)

    async def meanwhile() -> None:
        await other.remove("c", ["e4"])
        await other.put("c", [Entry("e5", "newer", [1.0, 2.0], {}, "{}"), entry("f")])

    assert before_writing(one, place, monkeypatch, meanwhile) == []
    await one.remove("c", ["e3"])
    assert any(_bases.FIRST in key for key, _ in await one._store.scan("log/"))
    for index in (one, other, Faiss(Faiss.Config(), one._store)):
        assert {hit.id: hit.text for hit in await index.nearest("c", [1.0, 2.0], 9)} == {
            "e5": "newer",
            "f": "text of f",
        }
    await other.remove("c", ["e5", "f"])
    assert await ids(one) == await afresh(one) == []


async def test_two_do_not_write_a_log_anew_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair
    await ready_to_be_written_anew(pair, monkeypatch)

    async def meanwhile() -> None:
        for entries in ([entry("f")], [entry("e5")], [entry("e5")]):  # the last one makes it want to do so too
            await other.put("c", entries)

    met = before_writing(one, f"/{_bases.FIRST}", monkeypatch, meanwhile)
    await one.remove("c", ["e3"])
    assert met
    assert len([key for key, _ in await one._store.scan("head/")]) == 1
    assert await ids(one) == await ids(other) == await afresh(one) == ["e4", "e5", "f"]
    assert await one._store.scan("claim/") == []


async def test_writing_anew_that_breaks_off_is_made_good_by_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    await ready_to_be_written_anew(pair, monkeypatch)

    async def fail() -> None:
        raise StoreUnavailable("full")

    with monkeypatch.context() as broken:
        before_writing(one, "head/", broken, fail)
        with pytest.raises(StoreUnavailable):
            await one.remove("c", ["e3"])
    assert await ids(one) == await ids(other) == await afresh(one) == ["e4", "e5"]
    await one.remove("c", ["e4"])
    assert await ids(one) == await ids(other) == await afresh(one) == ["e5"]
    assert len(await one._store.scan("log/")) == 1


async def test_a_claim_of_a_process_that_ended_does_not_count_for_ever(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    await ready_to_be_written_anew(pair, monkeypatch)
    assert await other._open["c"].bases.claim()
    await one.remove("c", ["e3"])
    assert await one._store.scan("head/") == []
    monkeypatch.setattr(_bases, "HELD", 0.0)
    await one.remove("c", ["e4"])
    assert len(await one._store.scan("head/")) == 1
    assert await one._store.scan("claim/") == []
    assert await ids(other) == ["e5"]


async def test_a_drop_by_another_is_noticed(pair: Pair) -> None:
    one, other = pair
    await one.put("c", [entry("a")])
    await other.drop("c")
    for call in (ids(one), one.put("c", [entry("b")]), one.remove("c", ["a"])):
        with pytest.raises(UnknownId):
            await call
    assert await one._store.scan("") == []


async def test_a_collection_that_another_dropped_and_made_again_is_read_again(pair: Pair) -> None:
    one, other = pair
    await other.drop("c")
    await other.create("c", 3)
    await one.put("c", [Entry("a", "", [1.0, 2.0, 3.0], {}, "{}")])
    assert [hit.id for hit in await other.nearest("c", [1.0, 2.0, 3.0], 9)] == ["a"]


async def test_what_is_put_while_another_drops_leaves_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair
    before_writing(one, "log/", monkeypatch, lambda: other.drop("c"))
    await one.put("c", [entry("a")])
    with pytest.raises(UnknownId):
        await ids(one)
    assert await one._store.scan("") == []


async def test_a_damaged_head_is_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = pair
    await ready_to_be_written_anew(pair, monkeypatch)
    await one.remove("c", ["e3"])
    ((key, _),) = await one._store.scan("head/")
    await one._store.set(key, "{}")
    with pytest.raises(StoreUnavailable, match="head/"):
        await afresh(one)


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_where_two_write_and_write_anew_at_once(
    seed: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_logged, "LEAST_DEAD", 4)
    chance, wanted = random.Random(seed), dict[str, str]()

    async def work(index: Faiss, name: str) -> None:
        for step in range(60):  # each has ids of its own: what becomes of one that both write at once is open
            ids = list(dict.fromkeys(f"{name}{chance.randrange(12)}" for _ in range(3)))
            if chance.random() < 0.6:
                await index.put("c", [Entry(id, f"step {step}", [1.0, 2.0], {}, "") for id in ids])
                wanted.update(dict.fromkeys(ids, f"step {step}"))
            else:
                await index.remove("c", ids)
                for id in ids:
                    wanted.pop(id, None)

    one, other = pair
    await asyncio.gather(work(one, "a"), work(other, "b"))
    for index in (one, other, Faiss(Faiss.Config(), one._store)):
        assert {found.id: found.text for found in await index.entries("c")} == wanted
    assert len(await one._store.scan("head/")) == 1
