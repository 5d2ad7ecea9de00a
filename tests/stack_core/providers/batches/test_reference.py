"""Batches from their input file to their output files: answers, faulty lines, cancelling, restarts, owners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.apis.batches import Batch
from stack_core.errors import Conflict, InvalidRequest, NotFound

ECHO = {"provider_id": "echo", "provider_type": "inline::echo", "module": "tests.stack_core.echo_provider"}
SLOW = {"provider_id": "slow", "provider_type": "inline::slow", "module": __name__.replace("test_reference", "slow")}


@asynccontextmanager
async def opened(folder: Path, *inference: Any, **config: Any) -> AsyncIterator[Stack]:
    """A stack whose stores and files are in `folder`."""
    files = {"provider_type": "inline::localfs", "config": {"storage_dir": str(folder / "files")}}
    batches = {"provider_type": "inline::reference", "config": config}
    given = {
        "name": "t",
        "providers": {"inference": list(inference) or [ECHO], "files": [files], "batches": [batches]},
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {"metadata": {"backend": "kv", "namespace": "registry"}},
        },
    }
    async with Stack.open(given) as stack:
        yield stack


def line(custom_id: str, text: str, model: str = "echo/one", **changes: Any) -> str:
    """One request of an input file."""
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return json.dumps(
        {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}
    )


async def begun(stack: Stack, text: str, **request: Any) -> Batch:
    """A batch of these lines."""
    file = await stack.files.create_file(file=("in.jsonl", text.encode()), purpose="batch")
    given = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **request}
    made: Batch = await stack.batches.create_batch(input_file_id=file.id, **given)
    return made


async def until(stack: Stack, batch: Batch, reached: Callable[[Batch], bool]) -> Batch:
    """The batch as soon as it is so."""
    async with asyncio.timeout(30):
        while not reached(batch):
            await asyncio.sleep(0.01)
            batch = await stack.batches.get_batch(batch.id)
    return batch


async def ended(stack: Stack, batch: Batch) -> Batch:
    """The batch at its end."""
    return await until(stack, batch, lambda b: b.status in ("completed", "failed", "expired", "cancelled"))


async def rows(stack: Stack, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of a file that a batch wrote."""
    assert file_id is not None
    content = await stack.files.get_file_content(file_id)
    return [json.loads(text) for text in (await content.read()).splitlines()]


async def test_every_line_is_answered_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        text = "\n".join(line(f"r{i}", f"hello {i}") for i in range(25))
        batch = await begun(
            stack, text, metadata={"run": "7"}, output_expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert batch.status == "validating"
        assert batch.expires_at == batch.created_at + 24 * 3600
        batch = await ended(stack, batch)
        assert batch.status == "completed"
        assert batch.model == "echo/one"
        assert batch.metadata == {"run": "7"}
        assert batch.error_file_id is None
        assert batch.request_counts is not None
        assert batch.request_counts.model_dump() == {"total": 25, "completed": 25, "failed": 0}
        found = await rows(stack, batch.output_file_id)
        assert [row["custom_id"] for row in found] == [f"r{i}" for i in range(25)]
        assert found[3]["response"]["status_code"] == 200
        assert found[3]["response"]["body"]["choices"][0]["message"]["content"] == "hello 3"
        assert found[3]["error"] is None
        assert batch.usage is not None
        assert batch.usage.total_tokens == sum(row["response"]["body"]["usage"]["total_tokens"] for row in found) > 0
        kept = await stack.files.get_file(batch.output_file_id)
        assert kept.purpose == "batch_output"
        assert kept.expires_at == kept.created_at + 3600


async def test_a_faulty_line_is_told_and_the_others_run(tmp_path: Path) -> None:
    lines = [
        line("a", "one"),
        "{not json",
        line("b", "two", url="/v1/embeddings"),
        "",
        line("a", "again"),
        json.dumps({"method": "POST", "url": "/v1/chat/completions", "body": {}}),
        line("c", "three", method="GET"),
        line("d", "four", body="text"),
        line("e", "five", body={"model": "echo/one", "stream": True}),
        line("f", "six", body={"model": "echo/nothing", "messages": [{"role": "user", "content": "x"}]}),
        line("g", "seven", body={"model": "echo/one"}),
        "[]",
        line("z", "last"),
    ]
    async with opened(tmp_path) as stack:
        batch = await ended(stack, await begun(stack, "\n".join(lines)))
        assert batch.status == "completed"
        assert batch.request_counts is not None
        assert batch.request_counts.model_dump() == {"total": 12, "completed": 2, "failed": 10}
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)] == ["a", "z"]
        assert batch.errors is not None
        told = {error.line: error.code for error in batch.errors.data}
        assert told == {
            2: "invalid_json_line",
            3: "mismatched_endpoint",
            5: "duplicate_custom_id",
            6: "missing_required_parameter",
            7: "invalid_method",
            8: "invalid_request",
            9: "invalid_request",
            12: "invalid_request",
        }
        failed = {row["custom_id"]: row for row in await rows(stack, batch.error_file_id) if row["response"]}
        assert failed["f"]["response"]["status_code"] == 404
        assert "nothing" in failed["f"]["response"]["body"]["error"]["message"]
        assert failed["g"]["response"]["status_code"] == 400


@pytest.mark.parametrize("text", ["", "\n\n", "{\n[\n"])
async def test_a_file_without_requests_fails(tmp_path: Path, text: str) -> None:
    async with opened(tmp_path) as stack:
        batch = await ended(stack, await begun(stack, text or "\n"))
        assert batch.status == "failed"
        assert batch.errors is not None
        assert batch.errors.data
        assert batch.output_file_id is None


async def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        with pytest.raises(InvalidRequest, match="endpoint") as caught:
            await begun(stack, line("a", "x"), endpoint="/v1/fine_tunes")
        assert "/v1/embeddings" in str(caught.value.hint)
        with pytest.raises(InvalidRequest, match="completion_window"):
            await begun(stack, line("a", "x"), completion_window="1h")
        with pytest.raises(InvalidRequest, match="metadata"):
            await begun(stack, line("a", "x"), metadata={str(i): "" for i in range(17)})
        with pytest.raises(NotFound, match="file"):
            await stack.batches.create_batch(
                input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h"
            )
        with pytest.raises(NotFound, match="batch"):
            await stack.batches.get_batch("batch_none")


async def test_a_key_gives_the_same_batch(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        first = await begun(stack, line("a", "x"), idempotency_key="k")
        again = await stack.batches.create_batch(
            input_file_id=first.input_file_id, endpoint="/v1/chat/completions", idempotency_key="k"
        )
        assert again.id == first.id
        with pytest.raises(Conflict, match="idempotency_key"):
            await begun(stack, line("b", "y"), idempotency_key="k")


async def test_cancelling_keeps_what_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path, SLOW, max_concurrent_requests_per_batch=2) as stack:
        slow = stack.providers_by_key["inference", "slow"].instance
        batch = await begun(stack, "\n".join(line(f"r{i}", "hi", "slow/m") for i in range(50)))
        async with asyncio.timeout(30):
            while slow.calls < 5:
                slow.step()
                await asyncio.sleep(0.01)
        assert (await stack.batches.cancel_batch(batch.id)).status == "cancelling"
        batch = await ended(stack, batch)
        assert batch.status == "cancelled"
        assert batch.cancelled_at is not None
        assert slow.most == 2
        assert batch.request_counts is not None
        assert 0 < batch.request_counts.completed < 50
        assert len(await rows(stack, batch.output_file_id)) == batch.request_counts.completed
        with pytest.raises(Conflict, match="is cancelled"):
            await stack.batches.cancel_batch(batch.id)


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, SLOW, max_concurrent_requests_per_batch=1) as stack:
        slow = stack.providers_by_key["inference", "slow"].instance
        batch = await begun(stack, "\n".join(line(f"r{i}", "hi", "slow/m") for i in range(6)))
        async with asyncio.timeout(30):
            while slow.finished < 3:
                slow.step()
                await asyncio.sleep(0.01)
    async with opened(tmp_path, SLOW) as stack:
        slow = stack.providers_by_key["inference", "slow"].instance
        slow.open()
        batch = await ended(stack, batch)
        assert batch.status == "completed"
        assert 1 <= slow.finished <= 3  # what was answered before is not asked again
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)] == [f"r{i}" for i in range(6)]


async def test_an_expired_batch_gives_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack_core.providers.batches.reference.WINDOWS", {"24h": -1})
    monkeypatch.setattr("stack_core.providers.batches._work.SAVE_SECONDS", 0.0)
    async with opened(tmp_path) as stack:
        batch = await ended(stack, await begun(stack, line("a", "x")))
        assert batch.status == "expired"
        assert batch.expired_at is not None


async def test_a_batch_belongs_to_its_owner(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        with context.request_scope(caller=context.User("ada")):
            batch = await begun(stack, line("a", "x"))
            await ended(stack, batch)
            assert [b.id for b in (await stack.batches.list_batches()).data] == [batch.id]
            await rows(stack, (await stack.batches.get_batch(batch.id)).output_file_id)
        with context.request_scope(caller=context.User("bob")):
            assert (await stack.batches.list_batches()).data == []
            with pytest.raises(NotFound):
                await stack.batches.get_batch(batch.id)
            with pytest.raises(NotFound):
                await stack.batches.cancel_batch(batch.id)


async def test_pages(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        made = [(await begun(stack, line("a", "x"))).id for _ in range(3)]
        first = await stack.batches.list_batches(limit=2)
        assert [b.id for b in first.data] == made[:0:-1]
        assert first.has_more
        rest = await stack.batches.list_batches(limit=2, after=first.last_id)
        assert [b.id for b in rest.data] == made[:1]
        assert not rest.has_more
