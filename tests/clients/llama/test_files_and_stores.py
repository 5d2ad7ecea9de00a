"""Files, vector stores, their files and batches, search, and chunks put in and found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_stack_client
import pytest

from tests.stack_core.builtin.vector_stores.texts import CATS, DOGS, FISH

pytestmark = pytest.mark.slow


@pytest.fixture
def store_name(new: bool) -> str:
    """What this version calls the store of chunks."""
    return "vector_store_id" if new else "vector_db_id"


def test_files(llama: Any, tmp_path: Path) -> None:
    path = tmp_path / "grün.txt"
    path.write_text("from a file")
    with path.open("rb") as opened:
        made = [
            llama.files.create(file=given, purpose="assistants")
            for given in (
                path,
                b"plain bytes",
                ("named.txt", b"in a pair"),
                ("typed.md", b"# in three", "text/markdown"),
                opened,
            )
        ]
    assert [file.filename for file in made] == ["grün.txt", "upload", "named.txt", "typed.md", "grün.txt"]
    assert [file.bytes for file in made] == [11, 11, 9, 10, 11]
    kept = llama.files.create(file=path, purpose="assistants", expires_after={"anchor": "created_at", "seconds": 7200})
    assert kept.expires_at == kept.created_at + 7200
    ids = {file.id for file in made}
    assert ids <= {file.id for file in llama.files.list(purpose="assistants", limit=2, order="asc")}
    assert llama.files.retrieve(kept.id).purpose == "assistants"
    assert llama.files.content(made[2].id) == "in a pair"
    assert llama.files.with_raw_response.content(made[1].id).read() == b"plain bytes"
    for file in (*made, kept):
        assert llama.files.delete(file.id).deleted
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        llama.files.retrieve(kept.id)


@pytest.mark.parametrize("index", ["faiss", "sqlite-vec"])
def test_stores(llama: Any, index: str) -> None:
    files = [
        llama.files.create(file=(name, text.encode()), purpose="assistants").id
        for name, text in (("cats.txt", CATS), ("dogs.txt", DOGS), ("fish.txt", FISH))
    ]
    store = llama.vector_stores.create(
        name="zoo",
        file_ids=files[:1],
        metadata={"team": "a"},
        expires_after={"anchor": "last_active_at", "days": 3},
        chunking_strategy={"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}},
        extra_body={"provider_id": index},
    )
    assert (store.object, store.metadata["team"], store.metadata["provider_id"]) == ("vector_store", "a", index)
    assert store.id in {row.id for row in llama.vector_stores.list(limit=1, order="asc")}
    assert llama.vector_stores.retrieve(store.id).name == "zoo"
    changed = llama.vector_stores.update(store.id, name="new", metadata={"team": "b"})
    assert (changed.name, changed.metadata["team"], changed.metadata["provider_id"]) == ("new", "b", index)

    inner = llama.vector_stores.files
    file = inner.create(store.id, file_id=files[1], attributes={"kind": "dog"}, chunking_strategy={"type": "auto"})
    assert (file.status, file.attributes, file.vector_store_id) == ("completed", {"kind": "dog"}, store.id)
    assert {row.id for row in inner.list(store.id, limit=1)} == set(files[:2])
    assert inner.retrieve(files[1], vector_store_id=store.id).status == "completed"
    assert inner.update(files[1], vector_store_id=store.id, attributes={"kind": "wolf"}).attributes == {"kind": "wolf"}
    content = inner.content(files[1], vector_store_id=store.id).to_dict()
    assert [piece["text"] for piece in content["data"]] == [piece["text"] for piece in content["content"]] == [DOGS]

    batches = llama.vector_stores.file_batches
    batch = batches.create(store.id, file_ids=files[2:], attributes={"kind": "fish"})
    assert (batch.object, batch.file_counts.total) == ("vector_store.files_batch", 1)
    while (batch := batches.retrieve(batch.id, vector_store_id=store.id)).status == "in_progress":
        pass
    assert batch.status == "completed"
    assert [row.id for row in batches.list_files(batch.id, vector_store_id=store.id, filter="completed")] == files[2:]
    assert batches.cancel(batch.id, vector_store_id=store.id).status == "completed"
    search(llama, store.id, files)
    assert inner.delete(files[1], vector_store_id=store.id).deleted
    assert llama.vector_stores.delete(store.id).deleted
    with pytest.raises(llama_stack_client.BadRequestError, match="not found"):
        llama.vector_stores.retrieve(store.id)


def search(llama: Any, store: str, files: list[str]) -> None:
    """In every mode, with filters and ranking options."""
    for mode in ("vector", "keyword", "hybrid"):
        found = llama.vector_stores.search(store, query="cats purr", search_mode=mode, max_num_results=2)
        assert (found.data[0].file_id, found.data[0].content[0].text) == (files[0], CATS)
    wolf = {"type": "eq", "key": "kind", "value": "wolf"}
    both = {"type": "or", "filters": [wolf, {"type": "eq", "key": "kind", "value": "fish"}]}
    assert [row.file_id for row in llama.vector_stores.search(store, query="sleep", filters=wolf).data] == [files[1]]
    found = llama.vector_stores.search(store, query=["sleep", "swim"], filters=both)
    assert {row.file_id for row in found.data} == {files[1], files[2]}
    ranked = llama.vector_stores.search(
        store,
        query="cats purr",
        search_mode="hybrid",
        ranking_options={"ranker": "weighted", "score_threshold": 0.0},
        extra_body={"ranking_options": {"ranker": "weighted", "alpha": 0.2}},
    )
    assert ranked.data[0].file_id == files[0]
    with pytest.raises(llama_stack_client.BadRequestError, match="rewrite_query"):
        llama.vector_stores.search(store, query="cats", rewrite_query=True)


def test_pieces_with_what_is_known_of_them(llama: Any, new: bool) -> None:
    store = llama.vector_stores.create(name="zoo")
    file = llama.files.create(file=("cats.txt", CATS.encode()), purpose="assistants").id
    llama.vector_stores.files.create(store.id, file_id=file)
    more = {"include_embeddings": True, "include_metadata": True}
    given: Any = more if new else {"extra_query": more}
    page = llama.vector_stores.files.content(file, vector_store_id=store.id, **given).to_dict()
    assert len(page["data"][0]["embedding"]) > 4
    assert page["data"][0]["chunk_metadata"]


def test_chunks(llama: Any, store_name: str) -> None:
    store = {store_name: llama.vector_stores.create(name="chunks").id}
    chunks: list[Any] = [
        {"content": DOGS, "metadata": {"document_id": "d1"}, "chunk_id": "c1"},
        {"content": FISH, "metadata": {"document_id": "d2"}, "chunk_id": "c2", "chunk_metadata": {"source": "sea.txt"}},
    ]
    llama.vector_io.insert(chunks=chunks, ttl_seconds=3600, **store)
    answer = llama.vector_io.query(query="dogs bark", params={"max_chunks": 1, "mode": "hybrid"}, **store)
    assert (answer.chunks[0].metadata["document_id"], len(answer.scores)) == ("d1", 1)
    with pytest.raises(llama_stack_client.BadRequestError, match="max_junks"):
        llama.vector_io.query(query="dogs", params={"max_junks": 1}, **store)
    with pytest.raises(llama_stack_client.BadRequestError, match="not found"):
        llama.vector_io.query(query="dogs", **{store_name: "vs_none"})
