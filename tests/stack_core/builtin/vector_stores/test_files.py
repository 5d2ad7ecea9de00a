"""Files of a store and batches of them: indexed, listed, relabelled, taken out, failed, stopped, taken up again."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core import Stack
from stack_core.builtin.vector_stores import ingest
from stack_core.context import User, request_scope
from stack_core.errors import InvalidRequest, NotFound, UnknownId
from tests.stack_core.builtin.vector_stores.conftest import Config
from tests.stack_core.builtin.vector_stores.texts import CATS, DOGS, FISH, kept, zoo


def words(stack: Any) -> Any:
    """The provider of embeddings, to open its gate and to see its texts."""
    return stack.providers_by_key["inference", "w"].instance


async def done(stack: Any, store: str, batch: str) -> Any:
    """A batch when its work is over."""
    part = stack._part("vector_stores")
    rows = await stack.vector_stores.list_batch_files(vector_store_id=store, batch_id=batch, limit=100)
    for row in rows.data:
        await part._ingest._background.join(f"{store}/{row.id}")
    return await stack.vector_stores.get_file_batch(vector_store_id=store, batch_id=batch)


async def test_a_small_file_is_answered_as_completed(stack: Any) -> None:
    store = (await stack.vector_stores.create_vector_store(name="x")).id
    file = await kept(stack, "cats.txt", CATS)
    strategy = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}}
    made = await stack.vector_stores.attach_file(
        vector_store_id=store, file_id=file, attributes={"kind": "cat", "legs": 4}, chunking_strategy=strategy
    )
    assert (made.id, made.status, made.last_error, made.vector_store_id) == (file, "completed", None, store)
    assert made.model_dump()["chunking_strategy"] == strategy
    assert made.attributes == {"kind": "cat", "legs": 4}
    assert made.usage_bytes == len(CATS) + 64 * 4
    assert await stack.vector_stores.get_file(vector_store_id=store, file_id=file) == made
    about = await stack.vector_stores.get_vector_store(store)
    assert (about.usage_bytes, about.file_counts.completed, about.file_counts.total) == (made.usage_bytes, 1, 1)


async def test_the_content_comes_in_both_shapes(stack: Any) -> None:
    store = (await stack.vector_stores.create_vector_store(name="x")).id
    text = "\n\n".join(f"Paragraph {number} says {'word ' * 60}" for number in range(6))
    file = await kept(stack, "long.txt", text)
    sizes = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
    await stack.vector_stores.attach_file(
        vector_store_id=store, file_id=file, chunking_strategy={"type": "static", "static": sizes}
    )
    page = await stack.vector_stores.file_content(vector_store_id=store, file_id=file)
    assert [piece.text for piece in page.data] == [piece.text for piece in page.content]
    assert (page.filename, page.file_id, page.has_more) == ("long.txt", file, False)
    assert [f"Paragraph {number} " in "".join(piece.text for piece in page.data) for number in range(6)] == [True] * 6
    assert page.data[0].text.startswith("Paragraph 0")
    more = await stack.vector_stores.file_content(
        vector_store_id=store, file_id=file, include_embeddings=True, include_metadata=True
    )
    assert len(more.data[0].embedding) == 64
    assert more.data[0].chunk_metadata["document_id"] == file
    assert "embedding" not in page.data[0].model_dump()


@pytest.mark.parametrize(("reads", "sizes"), [(256, (256, 128)), (8000, (800, 400)), (10, (100, 50))])
async def test_auto_pieces_fit_the_model(config: Config, reads: int, sizes: tuple[int, int]) -> None:
    async with Stack.open(config(words={"context_length": reads})) as stack:
        store, ids = await zoo(stack)
        made = await stack.vector_stores.get_file(vector_store_id=store, file_id=ids["cats"])
        static = made.chunking_strategy.static
        assert (static.max_chunk_size_tokens, static.chunk_overlap_tokens) == sizes


async def test_a_store_made_with_files_and_a_strategy(faiss: Any) -> None:
    ids = [await kept(faiss, f"{number}.txt", text) for number, text in enumerate((CATS, DOGS))]
    sizes = {"max_chunk_size_tokens": 120, "chunk_overlap_tokens": 10}
    made = await faiss.vector_stores.create_vector_store(
        file_ids=ids, chunking_strategy={"type": "static", "static": sizes}
    )
    assert (made.status, made.file_counts.completed) == ("completed", 2)
    listed = await faiss.vector_stores.list_files(vector_store_id=made.id, order="asc")
    assert [row.id for row in listed.data] == ids
    assert all(row.chunking_strategy.static.max_chunk_size_tokens == 120 for row in listed.data)


async def test_new_attributes_are_seen_by_filters_at_once(stack: Any) -> None:
    store, ids = await zoo(stack)

    async def found(kind: str) -> list[str]:
        where = {"type": "eq", "key": "kind", "value": kind}
        page = await stack.vector_stores.search(vector_store_id=store, query="sleep", filters=where)
        return [row.file_id for row in page.data]

    assert await found("cats") == [ids["cats"]]
    changed = await stack.vector_stores.update_file(
        vector_store_id=store, file_id=ids["cats"], attributes={"kind": "tiger"}
    )
    assert changed.attributes == {"kind": "tiger"}
    assert (await found("cats"), await found("tiger")) == ([], [ids["cats"]])


async def test_a_file_taken_out_is_not_found_and_not_deleted(stack: Any) -> None:
    store, ids = await zoo(stack)
    before = (await stack.vector_stores.get_vector_store(store)).usage_bytes
    said = await stack.vector_stores.delete_file(vector_store_id=store, file_id=ids["dogs"])
    assert (said.id, said.deleted) == (ids["dogs"], True)
    page = await stack.vector_stores.search(vector_store_id=store, query="dogs bark")
    assert ids["dogs"] not in [row.file_id for row in page.data]
    about = await stack.vector_stores.get_vector_store(store)
    assert (about.file_counts.total, about.file_counts.completed) == (2, 2)
    assert about.usage_bytes == before - len(DOGS) - 256
    with pytest.raises(NotFound) as caught:
        await stack.vector_stores.get_file(vector_store_id=store, file_id=ids["dogs"])
    assert (caught.value.status, "not found" in caught.value.message) == (404, True)
    assert (await stack.files.get_file(ids["dogs"])).filename == "dogs.txt"


async def test_files_are_listed_in_pages_and_by_status(faiss: Any) -> None:
    store, ids = await zoo(faiss)
    bad = await kept(faiss, "bad.pdf", b"%PDF-1.4 this is none")
    made = await faiss.vector_stores.attach_file(vector_store_id=store, file_id=bad)
    assert made.status == "failed"
    assert made.last_error.code == "invalid_file"
    assert "bad.pdf" in made.last_error.message
    page = await faiss.vector_stores.list_files(vector_store_id=store, limit=2)
    assert ([row.id for row in page.data], page.has_more) == ([bad, ids["fish"]], True)
    page = await faiss.vector_stores.list_files(vector_store_id=store, limit=2, after=page.last_id)
    assert ([row.id for row in page.data], page.has_more) == ([ids["dogs"], ids["cats"]], False)
    failed = await faiss.vector_stores.list_files(vector_store_id=store, filter="failed")
    assert [row.id for row in failed.data] == [bad]
    with pytest.raises(InvalidRequest, match="after"):
        await faiss.vector_stores.list_files(vector_store_id=store, after="file-none")


async def test_a_service_that_fails_fails_the_file_and_leaves_nothing(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WINDOW", 1)
    store = (await stack.vector_stores.create_vector_store(name="x")).id
    text = "\n\n".join(f"Good {number} {'word ' * 90}" for number in range(4)) + "\n\nPOISON " + "word " * 90
    sizes = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
    file = await kept(stack, "long.txt", text)
    made = await stack.vector_stores.attach_file(
        vector_store_id=store, file_id=file, chunking_strategy={"type": "static", "static": sizes}
    )
    assert (made.status, made.last_error.code) == ("failed", "server_error")
    assert "the service is down" in made.last_error.message
    assert (await stack.vector_stores.search(vector_store_id=store, query="good word")).data == []
    counts = (await stack.vector_stores.get_vector_store(store)).file_counts
    assert (counts.failed, counts.in_progress, counts.total) == (1, 0, 1)


async def test_a_file_attached_again_is_indexed_anew(stack: Any) -> None:
    store, ids = await zoo(stack)
    made = await stack.vector_stores.attach_file(
        vector_store_id=store, file_id=ids["cats"], attributes={"kind": "again"}
    )
    assert made.status == "completed"
    page = await stack.vector_stores.search(vector_store_id=store, query="cats purr")
    assert [row.file_id for row in page.data].count(ids["cats"]) == 1
    assert (await stack.vector_stores.get_vector_store(store)).file_counts.total == 3


async def test_mistakes_in_attaching(faiss: Any) -> None:
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    file = await kept(faiss, "cats.txt", CATS)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}
    for wrong in (
        {"chunking_strategy": static},
        {"chunking_strategy": {"type": "contextual", "contextual": {}}},
        {"attributes": {"k": "v" * 513}},
        {"attributes": {"_stack_timed": True}},
        {"attributes": {"far": float("inf")}},
        {"unknown": 1},
    ):
        with pytest.raises(InvalidRequest):
            await faiss.vector_stores.attach_file(vector_store_id=store, file_id=file, **wrong)
    with pytest.raises(NotFound, match="not found"):
        await faiss.vector_stores.attach_file(vector_store_id=store, file_id="file-none")
    assert (await faiss.vector_stores.list_files(vector_store_id=store)).data == []


async def test_a_batch_indexes_what_it_can(stack: Any) -> None:
    store = (await stack.vector_stores.create_vector_store(name="x")).id
    texts = {"cats.txt": CATS, "bad.pdf": b"%PDF-1.4 none", "poison.txt": "POISON", "fish.txt": FISH}
    ids = [await kept(stack, name, text) for name, text in texts.items()]
    made = await stack.vector_stores.create_file_batch(
        vector_store_id=store, file_ids=[*ids, "file-none"], attributes={"lot": 7}
    )
    assert (made.object, made.status, made.file_counts.total) == ("vector_store.files_batch", "in_progress", 5)
    end = await done(stack, store, made.id)
    assert (end.status, end.file_counts.completed, end.file_counts.failed, end.file_counts.in_progress) == (
        "completed",
        2,
        3,
        0,
    )
    rows = await stack.vector_stores.list_batch_files(vector_store_id=store, batch_id=made.id, filter="failed")
    assert {row.id: row.last_error.code for row in rows.data} == {
        ids[1]: "invalid_file",
        ids[2]: "server_error",
        "file-none": "invalid_file",
    }
    page = await stack.vector_stores.list_batch_files(vector_store_id=store, batch_id=made.id, limit=2, order="asc")
    assert ([row.id for row in page.data], page.has_more) == (ids[:2], True)
    where = {"type": "eq", "key": "lot", "value": 7}
    found = await stack.vector_stores.search(vector_store_id=store, query="sleep", filters=where)
    assert {row.filename for row in found.data} == {"cats.txt", "fish.txt"}


async def test_files_of_a_batch_with_their_own_attributes(faiss: Any) -> None:
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    ids = [await kept(faiss, f"{number}.txt", text) for number, text in enumerate((CATS, DOGS))]
    files = [{"file_id": id, "attributes": {"n": number}} for number, id in enumerate(ids)]
    made = await faiss.vector_stores.create_file_batch(vector_store_id=store, files=files)
    assert (await done(faiss, store, made.id)).status == "completed"
    rows = await faiss.vector_stores.list_files(vector_store_id=store, order="asc")
    assert [row.attributes for row in rows.data] == [{"n": 0}, {"n": 1}]
    for wrong in ({}, {"file_ids": ids, "files": files}, {"files": files, "attributes": {"n": 1}}):
        with pytest.raises(InvalidRequest):
            await faiss.vector_stores.create_file_batch(vector_store_id=store, **wrong)
    with pytest.raises(UnknownId):
        await faiss.vector_stores.get_file_batch(vector_store_id=store, batch_id="vsfb_none")


async def test_a_cancelled_batch_keeps_what_is_done(faiss: Any) -> None:
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    quick, slow = await kept(faiss, "cats.txt", CATS), await kept(faiss, "slow.txt", "SLOW fish")
    made = await faiss.vector_stores.create_file_batch(vector_store_id=store, file_ids=[quick, slow])
    await faiss._part("vector_stores")._ingest._background.join(f"{store}/{quick}")
    seen = await faiss.vector_stores.get_file_batch(vector_store_id=store, batch_id=made.id)
    assert (seen.status, seen.file_counts.completed, seen.file_counts.in_progress) == ("in_progress", 1, 1)
    end = await faiss.vector_stores.cancel_file_batch(vector_store_id=store, batch_id=made.id)
    assert (end.status, end.file_counts.completed, end.file_counts.cancelled) == ("cancelled", 1, 1)
    rows = await faiss.vector_stores.list_files(vector_store_id=store, filter="cancelled")
    assert [row.id for row in rows.data] == [slow]
    found = await faiss.vector_stores.search(vector_store_id=store, query="cats fish")
    assert {row.filename for row in found.data} == {"cats.txt"}


async def test_a_long_file_is_answered_in_progress_and_goes_on(faiss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "PATIENCE", 0.01)
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    slow = await kept(faiss, "slow.txt", "SLOW fish")
    made = await faiss.vector_stores.attach_file(vector_store_id=store, file_id=slow)
    assert made.status == "in_progress"
    assert (await faiss.vector_stores.get_vector_store(store)).status == "in_progress"
    await faiss.vector_stores.update_file(vector_store_id=store, file_id=slow, attributes={"late": True})
    words(faiss).gate.set()
    await faiss._part("vector_stores")._ingest._background.join(f"{store}/{slow}")
    assert (await faiss.vector_stores.get_file(vector_store_id=store, file_id=slow)).status == "completed"
    where = {"type": "eq", "key": "late", "value": True}
    found = await faiss.vector_stores.search(vector_store_id=store, query="fish", filters=where)
    assert [row.file_id for row in found.data] == [slow]


async def test_work_left_in_progress_is_done_by_the_next_stack(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "PATIENCE", 0.01)
    with request_scope(caller=User("ann")):
        async with Stack.open(config(index="sqlite-vec")) as stack:
            store = (await stack.vector_stores.create_vector_store(name="x")).id
            slow = await kept(stack, "slow.txt", "SLOW fish")
            batch = await stack.vector_stores.create_file_batch(vector_store_id=store, file_ids=[slow])
        async with Stack.open(config(index="sqlite-vec")) as stack:
            words(stack).gate.set()
            end = await stack.vector_stores.get_file_batch(vector_store_id=store, batch_id=batch.id)
            assert end.file_counts.in_progress == 1
            end = await done(stack, store, batch.id)
            assert (end.status, end.file_counts.completed) == ("completed", 1)
            found = await stack.vector_stores.search(vector_store_id=store, query="fish")
            assert [row.file_id for row in found.data] == [slow]
            counts = (await stack.vector_stores.get_vector_store(store)).file_counts
            assert (counts.in_progress, counts.completed) == (0, 1)


async def test_of_two_stacks_one_works_on_a_file(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one takes it over when that is gone."""
    monkeypatch.setattr(ingest, "PATIENCE", 0.01)
    async with Stack.open(config(index="sqlite-vec")) as other:
        words(other).gate.set()
        async with Stack.open(config(index="sqlite-vec")) as one:
            store = (await one.vector_stores.create_vector_store(name="x")).id
            slow = await kept(one, "slow.txt", "SLOW fish")
            batch = await one.vector_stores.create_file_batch(vector_store_id=store, file_ids=[slow])
            assert (await done(other, store, batch.id)).file_counts.in_progress == 1
        assert (await other.vector_stores.get_file(vector_store_id=store, file_id=slow)).status == "in_progress"
        assert (await done(other, store, batch.id)).file_counts.completed == 1


async def test_a_batch_whose_file_is_taken_out_comes_to_its_end(faiss: Any) -> None:
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    slow = await kept(faiss, "slow.txt", "SLOW fish")
    made = await faiss.vector_stores.create_file_batch(vector_store_id=store, file_ids=[slow])
    await faiss.vector_stores.delete_file(vector_store_id=store, file_id=slow)
    end = await faiss.vector_stores.get_file_batch(vector_store_id=store, batch_id=made.id)
    assert (end.status, end.file_counts.cancelled, end.file_counts.total) == ("completed", 1, 1)


async def test_counts_that_a_crash_left_wrong_are_made_right(faiss: Any) -> None:
    store, ids = await zoo(faiss)
    books = faiss._part("vector_stores")._books
    right = await faiss.vector_stores.get_vector_store(store)
    wrong = {"in_progress": 2, "completed": 1, "failed": 0, "cancelled": 0, "total": 3}
    await books.change_store(store, lambda data: {**data, "file_counts": wrong, "usage_bytes": 1})
    assert await faiss.vector_stores.get_vector_store(store) == right
    assert (right.file_counts.completed, len(ids)) == (3, 3)


@pytest.mark.slow
async def test_two_hundred_files_in_one_batch(faiss: Any) -> None:
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    ids = [await kept(faiss, f"{number}.txt", f"file number {number}") for number in range(200)]
    made = await faiss.vector_stores.create_file_batch(vector_store_id=store, file_ids=ids)
    for id in ids:
        await faiss._part("vector_stores")._ingest._background.join(f"{store}/{id}")
    end = await faiss.vector_stores.get_file_batch(vector_store_id=store, batch_id=made.id)
    assert (end.status, end.file_counts.completed) == ("completed", 200)
    assert (await faiss.vector_stores.get_vector_store(store)).file_counts.completed == 200
