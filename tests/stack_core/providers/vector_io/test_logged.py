"""Indexes in memory on one store: what several processes write is seen by all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stack_core import context
from stack_core.apis.vector_io import Entry
from stack_core.providers.vector_io import _logged
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
