"""The real `openai` and `llama-stack-client` SDKs drive vector stores, in process, without a port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from stack_core import Stack
from stack_core.transport import in_process_transport
from tests.stack_core.builtin.vector_stores.conftest import Config
from tests.stack_core.builtin.vector_stores.texts import CATS, DOGS, FISH
from tests.stack_core.builtin.vector_stores.words_provider import vector

pytestmark = pytest.mark.slow


@pytest.fixture
def running(config: Config) -> Iterator[Any]:
    """A stack on a loop in a thread of its own."""
    loop, exits = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(exits.enter_async_context(Stack.open(config())), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(exits.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def client(running: Any) -> Iterator[openai.OpenAI]:
    """OpenAI's client."""
    http = httpx2.Client(transport=in_process_transport(running, httpx2))
    with openai.OpenAI(base_url="http://stack/v1", api_key="none", max_retries=0, http_client=http) as found:
        yield found


@pytest.fixture
def llama(running: Any) -> Iterator[Any]:
    """Llama Stack's client."""
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    import httpx

    http = httpx.Client(transport=in_process_transport(running, httpx))
    with package.LlamaStackClient(base_url="http://stack", max_retries=0, http_client=http) as found:
        yield found


def test_openai_stores_and_files(client: openai.OpenAI, tmp_path: Path) -> None:
    store = client.vector_stores.create(
        name="zoo",
        expires_after={"anchor": "last_active_at", "days": 3},
        metadata={"team": "a"},
        extra_body={"provider_id": "faiss", "embedding_model": "w/words"},
    )
    assert (store.name, store.object, store.status) == ("zoo", "vector_store", "completed")
    assert store.metadata == {
        "team": "a",
        "provider_id": "faiss",
        "embedding_model": "w/words",
        "embedding_dimension": "64",
    }
    paths = []
    for name, text in (("cats.txt", CATS), ("dogs.txt", DOGS)):
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    uploaded = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=paths[0], attributes={"kind": "cat"}
    )
    assert (uploaded.status, uploaded.last_error, uploaded.attributes) == ("completed", None, {"kind": "cat"})
    kept = client.files.create(file=paths[1], purpose="assistants")
    made = client.vector_stores.files.create_and_poll(kept.id, vector_store_id=store.id, attributes={"kind": "dog"})
    assert made.chunking_strategy is not None
    assert made.chunking_strategy.type == "static"
    assert [row.id for row in client.vector_stores.files.list(store.id, limit=1)] == [made.id, uploaded.id]
    page = client.vector_stores.files.content(made.id, vector_store_id=store.id)
    assert [piece.text for piece in page] == [DOGS]
    changed = client.vector_stores.files.update(made.id, vector_store_id=store.id, attributes={"kind": "wolf"})
    assert changed.attributes == {"kind": "wolf"}
    found = client.vector_stores.search(
        store.id,
        query="sleep bark",
        max_num_results=5,
        filters={"type": "eq", "key": "kind", "value": "wolf"},
        ranking_options={"ranker": "auto", "score_threshold": 0.0},
    )
    assert [(row.filename, row.content[0].text) for row in found] == [("dogs.txt", DOGS)]
    assert client.vector_stores.files.delete(made.id, vector_store_id=store.id).deleted
    assert client.vector_stores.retrieve(store.id).file_counts.total == 1
    assert client.vector_stores.update(store.id, name="new").name == "new"
    assert store.id in {row.id for row in client.vector_stores.list(limit=1, order="asc")}
    assert client.vector_stores.delete(store.id).deleted
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.vector_stores.retrieve(store.id)
    with pytest.raises(openai.BadRequestError, match="expires_after"):
        client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 0})


def test_openai_batches(client: openai.OpenAI) -> None:
    store = client.vector_stores.create(name="zoo")
    ids = [
        client.files.create(file=(f"{number}.txt", text.encode()), purpose="assistants").id
        for number, text in enumerate((CATS, DOGS))
    ]
    batch = client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=ids, attributes={"lot": 1}, poll_interval_ms=10
    )
    assert (batch.status, batch.object, batch.file_counts.completed) == ("completed", "vector_store.files_batch", 2)
    files: list[Any] = [("fish.txt", FISH.encode())]
    more = client.vector_stores.file_batches.upload_and_poll(store.id, files=files, poll_interval_ms=10)
    assert (more.status, more.file_counts.total) == ("completed", 1)
    rows = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="completed")
    assert {row.id for row in rows} == set(ids)
    assert client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id).status == "completed"
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve("file-none", vector_store_id=store.id)


def test_llama_stores(llama: Any) -> None:
    store = llama.vector_stores.create(name="zoo", extra_body={"provider_id": "faiss", "embedding_dimension": 64})
    assert store.metadata["provider_id"] == "faiss"
    kept = llama.files.create(file=("cats.txt", CATS.encode()), purpose="assistants")
    file = llama.vector_stores.files.create(vector_store_id=store.id, file_id=kept.id, attributes={"kind": "cat"})
    assert (file.status, file.attributes) == ("completed", {"kind": "cat"})
    assert [row.id for row in llama.vector_stores.files.list(store.id)] == [kept.id]
    content = llama.vector_stores.files.content(file_id=kept.id, vector_store_id=store.id)
    assert (content.filename, [piece.text for piece in content.content]) == ("cats.txt", [CATS])
    for mode in ("vector", "keyword", "hybrid"):
        found = llama.vector_stores.search(store.id, query="cats purr", search_mode=mode, filters={})
        assert found.data[0].file_id == kept.id
    batch = llama.vector_stores.file_batches.create(store.id, file_ids=[kept.id])
    assert batch.file_counts.total == 1
    assert llama.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id).id == batch.id
    assert llama.vector_stores.update(vector_store_id=store.id, name="new").name == "new"
    assert [row.id for row in llama.vector_stores.list()] == [store.id]
    llama.vector_io.insert(
        vector_db_id=store.id,
        chunks=[
            {"content": DOGS, "metadata": {"document_id": "d1"}, "embedding": vector(DOGS)},
            {"content": FISH, "metadata": {"document_id": "d2"}, "chunk_metadata": {"source": "sea.txt"}},
        ],
    )
    answer = llama.vector_io.query(vector_db_id=store.id, query="dogs bark", params={"max_chunks": 1})
    assert (answer.chunks[0].metadata["document_id"], len(answer.scores)) == ("d1", 1)
    assert llama.vector_stores.delete(store.id).deleted
    with pytest.raises(Exception, match="400"):
        llama.vector_io.query(vector_db_id=store.id, query="dogs")
