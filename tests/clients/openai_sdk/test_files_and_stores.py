"""Files and vector stores with all their parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.stack_core.builtin.vector_stores.texts import CATS, DOGS, FISH

pytestmark = pytest.mark.slow


def test_files(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "grün.txt"
    path.write_text("from a file")
    with path.open("rb") as opened:
        given: list[Any] = [
            path,
            b"plain bytes",
            ("named.txt", b"in a pair"),
            ("t.md", b"# x", "text/markdown"),
            opened,
        ]
        made = [client.files.create(file=one, purpose="user_data") for one in given]
    assert [file.filename for file in made] == ["grün.txt", "upload", "named.txt", "t.md", "grün.txt"]
    short = client.files.create(file=path, purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    assert short.expires_at == short.created_at + 3600
    assert {file.id for file in made} <= {file.id for file in client.files.list(purpose="user_data", limit=2)}
    assert client.files.retrieve(short.id) == short == client.files.wait_for_processing(short.id)
    assert client.files.content(made[4].id).read() == b"from a file"
    with client.files.with_streaming_response.content(made[1].id) as answer:
        assert b"".join(answer.iter_bytes(3)) == b"plain bytes"
    for file in (*made, short):
        assert client.files.delete(file.id).deleted


@pytest.mark.parametrize("index", ["faiss", "sqlite-vec"])
def test_vector_stores(client: openai.OpenAI, index: str, tmp_path: Path) -> None:
    stores, inner = client.vector_stores, client.vector_stores.files
    store = stores.create(
        name="zoo",
        metadata={"team": "a"},
        expires_after={"anchor": "last_active_at", "days": 3},
        extra_body={"provider_id": index},
    )
    assert store.metadata is not None
    assert store.metadata["provider_id"] == index
    assert store.expires_at == (store.last_active_at or 0) + 3 * 86400
    path = tmp_path / "cats.txt"
    path.write_text(CATS)
    cats = inner.upload_and_poll(vector_store_id=store.id, file=path, attributes={"kind": "cat", "legs": 4})
    dogs = client.files.create(file=("dogs.txt", DOGS.encode()), purpose="assistants")
    sizes: Any = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 20}}
    made = inner.create_and_poll(dogs.id, vector_store_id=store.id, attributes={"kind": "dog"}, chunking_strategy=sizes)
    assert (cats.status, made.status) == ("completed", "completed")
    assert made.chunking_strategy is not None
    assert made.chunking_strategy.to_dict() == sizes
    fish: Any = [("fish.txt", FISH.encode())]
    batch = stores.file_batches.upload_and_poll(store.id, files=fish, poll_interval_ms=10)
    assert (batch.status, batch.object, batch.file_counts.completed) == ("completed", "vector_store.files_batch", 1)
    again = stores.file_batches.create_and_poll(store.id, file_ids=[dogs.id], attributes={"kind": "wolf"})
    assert [row.id for row in stores.file_batches.list_files(again.id, vector_store_id=store.id)] == [dogs.id]
    assert stores.file_batches.retrieve(again.id, vector_store_id=store.id).status == "completed"
    assert stores.file_batches.cancel(again.id, vector_store_id=store.id).status == "completed"
    assert len(list(inner.list(store.id, limit=1, order="asc", filter="completed"))) == 3
    assert inner.retrieve(dogs.id, vector_store_id=store.id).attributes == {"kind": "wolf"}
    assert inner.update(dogs.id, vector_store_id=store.id, attributes={"kind": "dog"}).attributes == {"kind": "dog"}
    assert [piece.text for piece in inner.content(dogs.id, vector_store_id=store.id)] == [DOGS]
    check_search(client, store.id)
    assert inner.delete(dogs.id, vector_store_id=store.id).deleted
    assert stores.update(store.id, name="new", expires_after=None).expires_at is None
    assert stores.retrieve(store.id).file_counts.total == 2
    assert store.id in {row.id for row in stores.list(limit=1, order="asc")}
    assert stores.delete(store.id).deleted


def check_search(client: openai.OpenAI, store: str) -> None:
    """By nearness, words and both, with filters and ranking options."""
    for mode in ("vector", "keyword", "hybrid"):
        page = client.vector_stores.search(store, query="cats purr", extra_body={"search_mode": mode})
        assert (page.data[0].filename, page.data[0].content[0].text) == ("cats.txt", CATS)
    legs: Any = {"type": "and", "filters": [{"type": "gte", "key": "legs", "value": 4}]}
    assert [row.filename for row in client.vector_stores.search(store, query="bark", filters=legs)] == ["cats.txt"]
    options: Any = {"ranker": "auto", "score_threshold": 0.0}
    found = client.vector_stores.search(store, query=["bark", "swim"], max_num_results=1, ranking_options=options)
    assert len(found.data) == 1
    weighted: Any = {"hybrid_search": {"embedding_weight": 0.2, "text_weight": 0.8}}
    found = client.vector_stores.search(store, query="dogs bark", ranking_options=weighted)
    assert found.data[0].filename == "dogs.txt"
    with pytest.raises(openai.BadRequestError, match="search_modes"):
        client.vector_stores.search(store, query="cats", extra_body={"search_modes": "vector"})
