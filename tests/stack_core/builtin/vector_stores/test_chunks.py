"""Vector IO: chunks put in and found, with vectors of their own or of the store's model."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from stack_core.builtin.vector_stores import entries
from stack_core.errors import InvalidRequest
from tests.stack_core.builtin.vector_stores.texts import CATS, DOGS, FISH, zoo
from tests.stack_core.builtin.vector_stores.words_provider import vector


async def made(stack: Any, **more: Any) -> str:
    """An empty store."""
    return str((await stack.vector_stores.create_vector_store(name="x", **more)).id)


async def test_chunks_come_back_as_they_went_in(stack: Any) -> None:
    store = await made(stack)
    metadata = {"document_id": "d1", "tags": ["a", {"b": 1}], "rank": 3, "none": None}
    about = {"document_id": "d1", "source": "a.txt", "content_token_count": 7}
    items = [{"type": "text", "text": "Dogs bark."}, {"type": "text", "text": "They guard."}]
    chunks: list[Any] = [
        {"content": CATS, "metadata": metadata, "chunk_metadata": about, "stored_chunk_id": "c1"},
        {"content": items, "metadata": {"document_id": "d2"}, "embedding": vector("dogs bark guard")},
    ]
    assert await stack.vector_io.insert(vector_db_id=store, chunks=chunks) is None
    answer = await stack.vector_io.query(vector_store_id=store, query="cats purr", params={"max_chunks": 1})
    (chunk,) = answer.chunks
    assert (chunk.content, chunk.metadata, chunk.stored_chunk_id) == (CATS, metadata, "c1")
    assert (chunk.chunk_metadata.source, chunk.chunk_metadata.content_token_count) == ("a.txt", 7)
    assert 0 < answer.scores[0] <= 1
    query = {"type": "text", "text": "dogs bark guard"}
    answer = await stack.vector_io.query(vector_db_id=store, query=query, params={"mode": "hybrid"})
    assert [item.text for item in answer.chunks[0].content] == ["Dogs bark.", "They guard."]
    assert answer.chunks[0].metadata == {"document_id": "d2"}


async def test_the_same_chunk_twice_is_one(stack: Any) -> None:
    store = await made(stack)
    for _ in range(2):
        await stack.vector_io.insert(vector_db_id=store, chunks=[{"content": CATS}, {"content": CATS}])
    assert len((await stack.vector_io.query(vector_db_id=store, query="cats")).chunks) == 1
    await stack.vector_io.insert(vector_db_id=store, chunks=[{"content": CATS, "metadata": {"document_id": "d"}}])
    assert len((await stack.vector_io.query(vector_db_id=store, query="cats")).chunks) == 2


async def test_chunks_of_files_and_others_are_found_by_both_apis(stack: Any) -> None:
    store, ids = await zoo(stack)
    extra = {"content": "Whales sing in the deep sea.", "metadata": {"document_id": "w1", "kind": "whale"}}
    await stack.vector_io.insert(vector_db_id=store, chunks=[extra])
    answer = await stack.vector_io.query(vector_db_id=store, query="fish swim", params={"max_chunks": 1})
    metadata = answer.chunks[0].metadata
    assert (metadata["document_id"], metadata["filename"], metadata["legs"]) == (ids["fish"], "fish.txt", 0)
    where = {"type": "eq", "key": "kind", "value": "whale"}
    page = await stack.vector_stores.search(vector_store_id=store, query="sea", filters=where)
    assert [(row.file_id, row.filename) for row in page.data] == [("w1", "")]
    answer = await stack.vector_io.query(vector_db_id=store, query="sea", params={"filters": where})
    assert [chunk.content for chunk in answer.chunks] == ["Whales sing in the deep sea."]


async def test_chunks_that_end(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await made(stack)
    await stack.vector_io.insert(vector_db_id=store, chunks=[{"content": CATS}])
    await stack.vector_io.insert(vector_db_id=store, chunks=[{"content": DOGS, "metadata": {"n": 1}}], ttl_seconds=60)

    async def found() -> set[str]:
        for mode in ("vector", "keyword", "hybrid"):
            answer = await stack.vector_io.query(
                vector_db_id=store, query="cats dogs", params={"mode": mode, "max_chunks": 9}
            )
        return {chunk.content for chunk in answer.chunks}

    assert await found() == {CATS, DOGS}
    page = await stack.vector_stores.search(vector_store_id=store, query="dogs")
    assert page.data[0].attributes == {"n": 1}
    with monkeypatch.context() as later:
        later.setattr(entries, "time", SimpleNamespace(time=lambda: time.time() + 61))
        assert await found() == {CATS}
        await stack.vector_io.insert(vector_db_id=store, chunks=[{"content": FISH}])
    assert await found() == {CATS, FISH}  # the next insert took them out for good


@pytest.mark.parametrize(
    "params",
    [
        {"mode": "hybrid", "ranker": {"strategy": "rrf", "params": {"k": 10}}},
        {"mode": "hybrid", "ranker": {"type": "weighted", "alpha": 0.7}},
        {"mode": "hybrid", "ranker": {"strategy": "weighted", "params": {"weights": [0.9, 0.1]}}},
        {"mode": "hybrid", "ranker": {"strategy": "normalized"}},
        {"mode": "vector", "score_threshold": 0.1},
    ],
)
async def test_params_of_a_query(faiss: Any, params: dict[str, Any]) -> None:
    store, _ = await zoo(faiss)
    answer = await faiss.vector_io.query(vector_db_id=store, query="cats purr content", params=params)
    assert answer.chunks[0].content == CATS
    assert len(answer.chunks) == len(answer.scores) <= 3


async def test_a_store_without_a_model_takes_vectors(faiss: Any, config: Any) -> None:
    from stack_core import Stack

    file = config(words={"models": ["chat"]})
    async with Stack.open(file) as stack:
        store = await made(stack, embedding_dimension=3)
        await stack.vector_io.insert(vector_db_id=store, chunks=[{"content": "x", "embedding": [1, 0, 0]}])
        found = await stack.vector_stores.search(vector_store_id=store, query="x", search_mode="keyword")
        assert [row.content[0].text for row in found.data] == ["x"]
        with pytest.raises(InvalidRequest, match="no embedding model"):
            await stack.vector_stores.search(vector_store_id=store, query="x")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"chunks": [{"content": "x", "embedding": [1.0, 2.0]}]}, "64 numbers, and this one has 2"),
        ({"chunks": [{"content": "x", "embedding": [float("nan")] * 64}]}, "finite"),
        ({"chunks": [{"content": "x", "embedding": vector("x"), "embedding_dimension": 3}]}, "embedding_dimension"),
        ({"chunks": [{"content": "x", "embedding": vector("x"), "embedding_model": "other"}]}, "embedding_model"),
        ({"chunks": [{"content": " "}]}, "neither text nor"),
        ({"chunks": [{"content": {"type": "image", "image": {"data": "aGk="}}}]}, "neither text nor"),
        ({"chunks": [{"content": "x", "metadata": {"_stack_timed": True}}]}, "_stack_"),
        ({"chunks": [{"content": "x", "metadata": {"a": "\ud800"}}]}, "JSON"),
        ({"chunks": []}, "chunks"),
        ({"chunks": [{"content": "x"}], "ttl_seconds": 0}, "ttl_seconds"),
        ({"chunks": [{"content": "x"}], "vector_store_id": "other"}, "one vector store"),
        ({"chunks": [{"content": "x", "colour": "red"}]}, "colour"),
    ],
)
async def test_chunks_that_cannot_be(faiss: Any, asked: dict[str, Any], named: str) -> None:
    store = await made(faiss)
    with pytest.raises(InvalidRequest, match=named):
        await faiss.vector_io.insert(vector_db_id=store, **asked)
    with pytest.raises(InvalidRequest, match="one vector store"):
        await faiss.vector_io.query(query="x")
    with pytest.raises(InvalidRequest, match="filters"):
        await faiss.vector_io.query(vector_db_id=store, query="x", params={"filters": {"a": 1}})


async def test_metadata_longer_than_an_attribute_is_found_and_shown_shortened(stack: Any) -> None:
    store = await made(stack)
    await stack.vector_io.insert(
        vector_db_id=store, chunks=[{"content": CATS, "metadata": {"note": "x" * 600, "n": 1}}]
    )
    (result,) = (await stack.vector_stores.search(vector_store_id=store, query="cats")).data
    assert result.attributes == {"note": "x" * 512, "n": 1}
    (chunk,) = (await stack.vector_io.query(vector_db_id=store, query="cats")).chunks
    assert chunk.metadata["note"] == "x" * 600
