"""Stores: made, listed, changed, expired, deleted; by default, by owner, by run file."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stack_core import Stack
from stack_core.builtin.vector_stores import books
from stack_core.context import User, request_scope
from stack_core.errors import (
    ConfigError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    StackError,
    UnknownId,
    Unsupported,
)
from tests.stack_core.builtin.vector_stores.conftest import INDEXES, Config
from tests.stack_core.builtin.vector_stores.texts import CATS, kept, zoo


async def test_a_store_says_who_keeps_it(stack: Any) -> None:
    made = await stack.vector_stores.create_vector_store(
        name="mine", metadata={"team": "a"}, description="notes", expires_after={"days": 2}
    )
    assert made.id.startswith("vs_")
    assert made.metadata["embedding_model"] == "w/words"
    assert (made.metadata["embedding_dimension"], made.metadata["team"]) == ("64", "a")
    assert made.metadata["provider_id"] in INDEXES
    assert (made.status, made.file_counts.total, made.usage_bytes) == ("completed", 0, 0)
    assert made.expires_at == made.last_active_at + 2 * 86_400
    assert made.model_dump()["description"] == "notes"
    assert await stack.vector_stores.get_vector_store(made.id) == made


async def test_a_store_is_changed(faiss: Any) -> None:
    made = await faiss.vector_stores.create_vector_store(name="old", metadata={"a": "1"}, expires_after={"days": 1})
    changed = await faiss.vector_stores.update_vector_store(vector_store_id=made.id, name="new")
    assert (changed.name, changed.expires_at, changed.metadata["a"]) == ("new", made.expires_at, "1")
    changed = await faiss.vector_stores.update_vector_store(
        vector_store_id=made.id, expires_after=None, metadata={"b": "2", "provider_id": "else"}
    )
    assert changed.expires_at is None
    assert {k: v for k, v in changed.metadata.items() if k in ("a", "b", "provider_id")} == {
        "b": "2",
        "provider_id": "faiss",
    }


async def test_stores_are_listed_in_pages(faiss: Any) -> None:
    ids = [(await faiss.vector_stores.create_vector_store(name=str(number))).id for number in range(5)]
    page = await faiss.vector_stores.list_vector_stores(limit=2)
    assert ([row.id for row in page.data], page.has_more) == (ids[:2:-1], True)
    after = await faiss.vector_stores.list_vector_stores(limit=2, after=page.last_id)
    assert ([row.id for row in after.data], after.first_id) == ([ids[2], ids[1]], ids[2])
    rising = await faiss.vector_stores.list_vector_stores(order="asc", before=ids[2])
    assert [row.id for row in rising.data] == ids[:2]
    with pytest.raises(InvalidRequest, match="after"):
        await faiss.vector_stores.list_vector_stores(after="vs_none")


async def test_a_deleted_store_is_gone_with_its_chunks(stack: Any) -> None:
    store, ids = await zoo(stack)
    said = await stack.vector_stores.delete_vector_store(store)
    assert (said.id, said.deleted, said.object) == (store, True, "vector_store.deleted")
    for call in (
        stack.vector_stores.get_vector_store(store),
        stack.vector_stores.search(vector_store_id=store, query="cats"),
        stack.vector_io.query(vector_db_id=store, query="cats"),
    ):
        with pytest.raises(UnknownId):
            await call
    assert (await stack.files.get_file(ids["cats"])).filename == "cats.txt"


async def test_an_unknown_store_names_the_nearest(faiss: Any) -> None:
    made = await faiss.vector_stores.create_vector_store(name="x")
    with pytest.raises(UnknownId) as caught:
        await faiss.vector_stores.get_vector_store(made.id[:-1] + "_")
    assert (caught.value.status, made.id in (caught.value.hint or "")) == (400, True)


async def test_what_another_owner_made_is_not_found(faiss: Any) -> None:
    with request_scope(caller=User("ann")):
        store, ids = await zoo(faiss)
        theirs = await kept(faiss, "more.txt", CATS)
    with request_scope(caller=User("bob")):
        for call in (
            faiss.vector_stores.get_vector_store(store),
            faiss.vector_stores.search(vector_store_id=store, query="cats"),
            faiss.vector_stores.delete_file(vector_store_id=store, file_id=ids["cats"]),
            faiss.vector_io.query(vector_store_id=store, query="cats"),
        ):
            with pytest.raises(UnknownId):
                await call
        assert (await faiss.vector_stores.list_vector_stores()).data == []
        mine = await faiss.vector_stores.create_vector_store(name="bob's")
        with pytest.raises(NotFound):
            await faiss.vector_stores.attach_file(vector_store_id=mine.id, file_id=theirs)
    with request_scope(caller=User("ann")):
        found = await faiss.vector_stores.search(vector_store_id=store, query="cats purr")
        assert found.data[0].filename == "cats.txt"


async def test_an_expired_store_is_not_searched(faiss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ids = await zoo(faiss, expires_after={"anchor": "last_active_at", "days": 1})
    later = SimpleNamespace(time=lambda: time.time() + 90_000, monotonic=time.monotonic)
    monkeypatch.setattr(books, "time", later)
    assert (await faiss.vector_stores.get_vector_store(store)).status == "expired"
    with pytest.raises(InvalidRequest, match="expired"):
        await faiss.vector_stores.search(vector_store_id=store, query="cats")
    with pytest.raises(InvalidRequest, match="expired"):
        await faiss.vector_stores.attach_file(vector_store_id=store, file_id=ids["cats"])
    with pytest.raises(InvalidRequest, match="expired"):
        await faiss.vector_io.insert(vector_store_id=store, chunks=[{"content": "x"}])


async def test_the_run_file_says_the_defaults(config: Config) -> None:
    file = config(
        vector_stores={
            "default_provider_id": "second",
            "default_embedding_model": {"provider_id": "w", "model_id": "words"},
        }
    )
    file["providers"]["vector_io"].append({"provider_id": "second", "provider_type": "inline::faiss", "config": {}})
    async with Stack.open(file) as stack:
        made = await stack.vector_stores.create_vector_store(name="x")
        assert made.metadata["provider_id"] == "second"
        made = await stack.vector_stores.create_vector_store(provider_id="faiss", embedding_model="words")
        assert made.metadata["provider_id"] == "faiss"
        with pytest.raises(NotFound, match="sekond"):
            await stack.vector_stores.create_vector_store(provider_id="sekond")
        with pytest.raises(NotFound, match="w/wurds"):
            await stack.vector_stores.create_vector_store(embedding_model="w/wurds")
        with pytest.raises(InvalidRequest, match="no embedding model"):
            await stack.vector_stores.create_vector_store(embedding_model="w/chat")


async def test_the_length_of_vectors_is_measured_or_asked_for(config: Config) -> None:
    async with Stack.open(config(words={"measure": True})) as stack:
        made = await stack.vector_stores.create_vector_store(name="x")
        assert made.metadata["embedding_dimension"] == "64"
        short = await stack.vector_stores.create_vector_store(name="x", embedding_dimension=16)
        assert short.metadata["embedding_dimension"] == "16"
        await stack.vector_io.insert(vector_db_id=short.id, chunks=[{"content": CATS}])
        found = await stack.vector_io.query(vector_db_id=short.id, query="cats")
        assert found.chunks[0].content == CATS


async def test_stores_of_the_run_file_are_there_for_everybody(config: Config) -> None:
    row = {"vector_db_id": "docs", "provider_id": "faiss", "embedding_model": "w/words", "embedding_dimension": 64}
    file = config(registered_resources={"vector_dbs": [row], "vector_stores": [{"vector_store_id": "more"}]})
    for _ in range(2):
        async with Stack.open(file) as stack:
            with request_scope(caller=User("ann")):
                assert {made.id for made in (await stack.vector_stores.list_vector_stores()).data} == {"docs", "more"}
                await stack.vector_io.insert(vector_db_id="docs", chunks=[{"content": CATS}])
                assert (await stack.vector_io.query(vector_db_id="docs", query="cats")).chunks[0].content == CATS


async def test_without_a_provider_the_error_says_what_to_add(config: Config) -> None:
    file = config()
    del file["providers"]["vector_io"]
    async with Stack.open(file) as stack:
        with pytest.raises(Unsupported, match="vector_io"):
            await stack.vector_stores.create_vector_store(name="x")


async def test_a_provider_or_model_that_is_gone_is_named(config: Config) -> None:
    async with Stack.open(config()) as stack:
        store, _ = await zoo(stack)
    gone = config(words={"models": ["chat"]})
    async with Stack.open(gone) as stack:
        with pytest.raises(InvalidRequest, match="embedding model of vector store"):
            await stack.vector_stores.search(vector_store_id=store, query="cats")
    away = config()
    away["providers"]["vector_io"][0]["provider_id"] = "other"
    async with Stack.open(away) as stack:
        with pytest.raises(ProviderUnavailable, match="not configured") as caught:
            await stack.vector_stores.search(vector_store_id=store, query="cats")
        assert caught.value.status == 503


async def test_a_row_of_the_run_file_that_cannot_be_is_left_out(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"vector_store_id": "good"}, {"vector_store_id": "bad", "embedding_model": "w/none"}]
    async with Stack.open(config(registered_resources={"vector_stores": rows})) as stack:
        assert [made.id for made in (await stack.vector_stores.list_vector_stores()).data] == ["good"]
        assert "bad" in caplog.text
    for row, named in (
        ({"vector_store_id": "x", "colour": 1}, "colour"),
        ({"provider_id": "faiss"}, "vector_store_id"),
    ):
        async with Stack.open(config(registered_resources={"vector_stores": [row]})) as stack:
            with pytest.raises(ConfigError, match=named):
                await stack.vector_stores.list_vector_stores()


async def test_a_provider_that_did_not_start_is_unavailable(config: Config, tmp_path: Path) -> None:
    file = config(index="sqlite-vec")
    (tmp_path / "notafolder").write_text("x")
    file["providers"]["vector_io"][0]["config"] = {"db_path": str(tmp_path / "notafolder" / "vec.db")}
    async with Stack.open(file) as stack:
        with pytest.raises(StackError) as caught:
            await stack.vector_stores.create_vector_store(name="x")
        assert caught.value.status == 503


async def test_a_default_model_that_is_not_there_says_who_named_it() -> None:
    given = {
        "providers": {"vector_io": [{"provider_id": "v", "provider_type": "inline::faiss"}]},
        "vector_stores": {"default_embedding_model": {"provider_id": "none", "model_id": "such"}},
    }
    async with Stack.open({"version": 2, "image_name": "given", **given}) as stack:
        with pytest.raises(NotFound) as raised:
            await stack.vector_stores.create_vector_store(name="s")
        assert "default_embedding_model" in (raised.value.hint or "")
