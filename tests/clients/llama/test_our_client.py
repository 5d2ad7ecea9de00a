"""`StackClient` takes the calls that Llama Stack's client takes: every method, keyword and position of the version that
is imported, and the calls of its users as they stand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_stack_client
import pytest

from stack_core import AsyncStackClient, StackClient
from stack_core.errors import InvalidRequest, NotFound, UnknownId
from stack_core.names import _fields, _theirs, names
from tests.stack_core.builtin.vector_stores.texts import CATS, DOGS
from tests.stack_core.running import ECHO, HI, Running

pytestmark = pytest.mark.slow

OPTIONS = {"self", "extra_headers", "extra_query", "extra_body", "timeout", "idempotency_key"}


def theirs() -> Iterator[tuple[str, inspect.Signature]]:
    """Every method of their client by its dotted name."""
    waiting: list[tuple[str, Any]] = [("", llama_stack_client.LlamaStackClient(base_url="http://localhost"))]
    seen: set[type] = set()
    while waiting:
        path, point = waiting.pop()
        for name in dir(type(point)):
            member = inspect.getattr_static(type(point), name)
            if name.startswith(("_", "with_")):
                continue
            if path and inspect.isfunction(member):
                yield f"{path}{name}", inspect.signature(member)
            elif hasattr(member, "func") or isinstance(member, property):  # a resource, made at its first use
                below = getattr(point, name, None)
                if type(below).__module__.startswith("llama_stack_client.resources") and type(below) not in seen:
                    seen.add(type(below))
                    waiting.append((f"{path}{name}.", below))


def test_every_keyword_and_position_is_taken() -> None:
    found = dict(theirs())
    assert len(found) > 90
    assert sorted(found.keys() - names().keys()) == []
    lacking, elsewhere = {}, {}
    for name, signature in found.items():
        route = names()[name]
        params = [param for param in signature.parameters.values() if param.name not in OPTIONS]
        if missing := {param.name for param in params} - _fields(route):
            lacking[name] = sorted(missing)
        first = [param.name for param in params if param.kind is param.POSITIONAL_OR_KEYWORD]
        ours = [param.name for param in _theirs(route)][: len(first)]
        if first != ours:
            elsewhere[name] = (first, ours)
    assert (lacking, elsewhere) == ({}, {})


@pytest.fixture
def ours(running: Running) -> Iterator[StackClient]:
    """The client under test, over HTTP; in process it is the same calls on another door (`test_names.py`)."""
    with StackClient(running.url) as found:
        yield found


def test_the_calls_of_their_users(ours: StackClient, tmp_path: Path) -> None:
    path = tmp_path / "cats.txt"
    path.write_text(CATS)
    file = ours.files.create(file=path, purpose="assistants", expires_after={"anchor": "created_at", "seconds": 7200})
    more = ours.files.create(file=("dogs.txt", DOGS.encode()), purpose="assistants")
    assert ours.files.content(file.id).read().decode() == CATS
    store = ours.vector_stores.create(name="zoo", extra_body={"provider_id": "sqlite-vec"})
    made = ours.vector_stores.files.create(store.id, file_id=file.id, attributes={"kind": "cat"})
    assert ours.vector_stores.files.retrieve(file.id, vector_store_id=store.id) == made
    batch = ours.vector_stores.file_batches.create(store.id, file_ids=[more.id])
    while batch.status == "in_progress":
        batch = ours.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
    rows = ours.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    assert [row.id for row in rows] == [more.id]
    found = ours.vector_stores.search(store.id, query="cats", search_mode="hybrid", max_num_results=1)
    assert found.data[0].file_id == file.id
    assert ours.vector_stores.files.content(file.id, vector_store_id=store.id).data[0].text == CATS
    assert ours.vector_stores.files.delete(file.id, vector_store_id=store.id).deleted
    assert ours.vector_stores.delete(store.id).deleted


def test_conversations_and_registries(ours: StackClient) -> None:
    made = ours.conversations.create(metadata={"a": "b"})
    item = ours.conversations.items.create(made.id, items=[{"type": "message", "role": "user", "content": "x"}]).data[0]
    assert ours.conversations.items.get(item.id, conversation_id=made.id).content[0].text == "x"
    rows = [{"a": 1}]
    ours.beta.datasets.register(
        dataset_id="ours", purpose="eval/question-answer", source={"type": "rows", "rows": rows}
    )
    ours.datasets.appendrows("ours", rows=rows)
    assert ours.datasets.iterrows("ours", start_index=0, limit=5).data == rows * 2
    ours.datasets.unregister("ours")
    assert ours.alpha.admin.health().status == "OK"
    assert {tool.name for tool in ours.tools.list(toolgroup_id="maths")} == {"add", "multiply"}
    assert ours.alpha.inference.rerank(model="up/tiny", query="a b", items=["c", "a"])[0].index == 1
    prompt = ours.prompts.create(prompt="{{ a }}", variables=["a"])
    assert ours.prompts.update(prompt.prompt_id, prompt="!{{ a }}", version=1, variables=["a"]).version == 2


def test_mistakes(ours: StackClient) -> None:
    with pytest.raises(UnknownId, match="not found"):
        ours.vector_stores.retrieve("vs_none")
    with pytest.raises(NotFound, match="up/none"):
        ours.chat.completions.create(model="up/none", messages=HI)
    with pytest.raises(InvalidRequest, match="vector_store_id: field required"):
        ours.vector_stores.files.retrieve("file-1")
    with pytest.raises(InvalidRequest, match="given twice"):
        ours.vector_stores.files.retrieve("file-1", file_id="file-1")
    with pytest.raises(InvalidRequest, match="at most 2"):
        ours.vector_stores.files.retrieve("file-1", "vs", "more")


async def test_without_blocking(running: Running) -> None:
    async with AsyncStackClient(running.url) as client:
        answer = await client.chat.completions.create(model="up/tiny", messages=ECHO)
        assert answer.choices[0].message.content == "hello there"
        store = await client.vector_stores.create(name="x")
        with pytest.raises(NotFound):
            await client.vector_stores.files.retrieve("file-none", vector_store_id=store.id)
