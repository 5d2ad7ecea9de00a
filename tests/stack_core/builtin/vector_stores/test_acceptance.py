"""Retrieval as a notebook has it: the distribution, real embeddings, thirty files of five formats, each index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import ConfigError
from stack_core.providers.inference._minilm.weights import locate
from stack_core.providers.vector_io import _logged
from tests.stack_core.builtin.vector_stores.texts import kept
from tests.stack_core.providers.file_processors.samples import pdf, word

pytestmark = pytest.mark.slow

TOPICS = {
    "bees": "Bees visit blossoms and carry nectar to the hive, where it becomes honey. Beekeeper code QX-17.",
    "volcano": "Molten rock rises under a volcano until lava and ash break out of the crater. Station code QX-23.",
    "chess": "A chess player castles early so that the king is safe, then attacks with rooks. Opening code QX-31.",
    "bread": "Knead flour, water and yeast, let the dough rise, and bake the loaf in a hot oven. Recipe code QX-42.",
    "moon": "Astronauts landed on the moon, took samples of its dust and flew home in a capsule. Mission code QX-58.",
    "violin": "The violinist tunes four strings and draws the bow to play a sonata. Concert code QX-66.",
}
QUESTIONS = {
    "insects that make something sweet": "bees",
    "a mountain that erupts": "volcano",
    "board game strategy": "chess",
    "how do I bake at home?": "bread",
    "travel in space": "moon",
    "a musical instrument": "violin",
}
FORMATS: dict[str, Callable[[str, str], bytes]] = {
    "pdf": lambda topic, text: pdf(text),
    "docx": word,
    "md": lambda topic, text: f"# {topic}\n\n{text}\n".encode(),
    "html": lambda topic, text: f"<html><body><h1>{topic}</h1><p>{text}</p></body></html>".encode(),
    "csv": lambda topic, text: f'topic,text\n{topic},"{text}"\n'.encode(),
}


@pytest.fixture(params=["builtin", "faiss", "sqlite-vec"])
def notebook(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    try:
        locate(None)
    except ConfigError:
        pytest.skip("the weights of all-MiniLM-L6-v2 are not on this machine")
    monkeypatch.setenv("SQLITE_STORE_DIR", str(tmp_path))
    monkeypatch.setenv("FILES_STORAGE_DIR", str(tmp_path / "files"))
    stores = {"default_provider_id": request.param}
    return {"extends": "notebook", "providers": {"vector_io": request.param}, "vector_stores": stores}


async def fill(stack: Stack) -> tuple[str, dict[str, str]]:
    """A store with all files, once they are searched, and their ids by name."""
    names = [f"{topic}.{ending}" for topic in TOPICS for ending in FORMATS]
    ids = {}
    for name in names:
        topic, _, ending = name.partition(".")
        ids[name] = await kept(stack, name, FORMATS[ending](topic, TOPICS[topic]))
    store = await stack.vector_stores.create_vector_store(name="all")
    files = [
        {"file_id": ids[name], "attributes": {"topic": name.split(".")[0], "format": name.split(".")[1], "year": year}}
        for year, name in enumerate(names, 2000)
    ]
    batch = await stack.vector_stores.create_file_batch(vector_store_id=store.id, files=files)
    for file_id in ids.values():
        await joined(stack, store.id, file_id)
    batch = await stack.vector_stores.get_file_batch(vector_store_id=store.id, batch_id=batch.id)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 30, 30)
    return store.id, ids


async def joined(stack: Stack, store: str, file_id: str) -> None:
    """Wait for the work on a file."""
    await stack._part("vector_stores")._ingest._background.join(f"{store}/{file_id}")


async def topics(stack: Stack, store: str, query: str, most: int = 5, **more: Any) -> list[str]:
    """The topics of what a search finds, best first."""
    found = await stack.vector_stores.search(vector_store_id=store, query=query, max_num_results=most, **more)
    assert [hit.score for hit in found.data] == sorted((hit.score for hit in found.data), reverse=True)
    return [str(hit.attributes["topic"]) for hit in found.data]


async def finds(stack: Stack, store: str) -> None:
    """By meaning, by words, by both, and within filters."""
    for question, topic in QUESTIONS.items():
        assert (await topics(stack, store, question))[0] == topic, question
        assert (await topics(stack, store, f"{question}: {topic}", search_mode="hybrid"))[0] == topic, question
    assert await topics(stack, store, "31", search_mode="keyword") == ["chess"] * 5
    weighted = {"ranker": "weighted", "alpha": 0.2}
    assert await topics(stack, store, "code 42", 3, search_mode="hybrid", ranking_options=weighted) == ["bread"] * 3
    is_pdf = {"type": "eq", "key": "format", "value": "pdf"}
    assert sorted(await topics(stack, store, "anything", 50, filters=is_pdf)) == sorted(TOPICS)
    later = {"type": "and", "filters": [is_pdf, {"type": "gte", "key": "year", "value": 2015}]}
    assert sorted(await topics(stack, store, "code", 50, filters=later, search_mode="hybrid")) == [
        "bread", "moon", "violin",
    ]  # fmt: skip
    assert (await topics(stack, store, "anything", filters={"type": "in", "key": "topic", "value": ["bees"]})) == [
        "bees"
    ] * 5


async def test_thirty_files_of_five_formats(notebook: dict[str, Any]) -> None:
    async with Stack.open(notebook) as stack:
        store, ids = await fill(stack)
        await finds(stack, store)
        gone, renamed = ids["chess.md"], ids["bees.csv"]
        await stack.vector_stores.update_file(vector_store_id=store, file_id=renamed, attributes={"topic": "honey"})
        honey = {"type": "eq", "key": "topic", "value": "honey"}
        assert await topics(stack, store, "anything", filters=honey) == ["honey"]
        await stack.vector_stores.delete_file(vector_store_id=store, file_id=gone)
    async with Stack.open(notebook) as stack:
        assert await topics(stack, store, "anything", filters=honey) == ["honey"]
        assert len(await topics(stack, store, "31", 50, search_mode="keyword")) == 4
        found = await stack.vector_stores.get_vector_store(store)
        assert (found.file_counts.completed, found.file_counts.total) == (29, 29)
        await stack.vector_stores.attach_file(
            vector_store_id=store, file_id=gone, attributes={"topic": "chess", "format": "md", "year": 2012}
        )
        await stack.vector_stores.update_file(
            vector_store_id=store, file_id=renamed, attributes={"topic": "bees", "format": "csv", "year": 2004}
        )
        await finds(stack, store)
        await stack.vector_stores.delete_vector_store(store)
        assert (await stack.vector_stores.list_vector_stores()).data == []


async def test_two_stacks_on_one_store(notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of them writes, the other one finds."""
    monkeypatch.setattr(_logged, "FRESH", 0.0)  # else a second later
    async with Stack.open(notebook) as one, Stack.open(notebook) as other:
        store = (await one.vector_stores.create_vector_store(name="shared")).id
        for stack, topic in ((one, "bees"), (other, "moon"), (one, "bread"), (other, "chess")):
            file_id = await kept(stack, f"{topic}.txt", TOPICS[topic])
            await stack.vector_stores.attach_file(vector_store_id=store, file_id=file_id, attributes={"topic": topic})
            for reader in (one, other):
                assert topic in await topics(reader, store, TOPICS[topic], 1), (reader is one, topic)
        for reader in (one, other):
            assert sorted(await topics(reader, store, "code", search_mode="keyword")) == [
                "bees", "bread", "chess", "moon",
            ]  # fmt: skip
