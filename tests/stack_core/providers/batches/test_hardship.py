"""Batches when things go wrong: providers that fail, files and stores that go away, processes that end, odd lines."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stack_core import context
from stack_core.errors import InvalidRequest, NotFound, RateLimited, StoreUnavailable
from stack_core.providers.batches import _work, reference
from tests.stack_core.providers.batches.test_reference import ECHO, SLOW, begun, ended, line, opened, rows, until
from tests.upstream import upstream

ADA, BOB = context.User("ada", {"teams": ("red",)}), context.User("bob")


def kept_of(stack: Any, name: str = "echo") -> Any:
    return stack.providers_by_key["inference", name].instance


async def test_a_providers_own_mistake_fails_its_request_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as stack:
        echo, answer = kept_of(stack), kept_of(stack).chat_completion

        async def sometimes(request: Any) -> Any:
            if "bad" in str(request.messages[-1].content):
                raise KeyError("secret-key")
            return await answer(request)

        monkeypatch.setattr(type(echo), "chat_completion", lambda self, request: sometimes(request))
        lines = [line("a", "good"), line("b", "bad"), line("c", "good")]
        batch = await ended(stack, await begun(stack, "\n".join(lines)))
        assert batch.status == "completed"
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)] == ["a", "c"]
        (failed,) = await rows(stack, batch.error_file_id)
        assert failed["custom_id"] == "b"
        assert failed["response"]["status_code"] == 502
        assert "KeyError" in failed["response"]["body"]["error"]["message"]
        assert "secret-key" not in json.dumps(failed)


async def test_a_service_that_puts_off_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Counter[str]()
    async with opened(tmp_path) as stack:
        echo, answer = kept_of(stack), kept_of(stack).chat_completion

        async def later(request: Any) -> Any:
            asked["calls"] += 1
            if asked["calls"] < _work.TRIES_SLOWED:
                error = RateLimited("slow down")
                error.retry_after = 0.001
                raise error
            return await answer(request)

        monkeypatch.setattr(type(echo), "chat_completion", lambda self, request: later(request))
        batch = await ended(stack, await begun(stack, line("a", "x")))
        assert batch.request_counts is not None
        assert batch.request_counts.completed == 1


async def test_a_store_that_goes_away_only_delays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "RETRY_SECONDS", 0.01)
    failures = Counter[str]()
    async with opened(tmp_path) as stack:
        store = stack.providers_by_key["batches", "reference"].instance._outcomes
        write = store.set

        async def weak(key: str, value: str) -> None:
            if "00000003" in key and failures["set"] < 3:
                failures["set"] += 1
                raise StoreUnavailable("the store is away")
            await write(key, value)

        monkeypatch.setattr(type(store), "set", lambda self, key, value: weak(key, value))
        batch = await ended(stack, await begun(stack, "\n".join(line(f"r{i}", "x") for i in range(6))))
        assert batch.status == "completed"
        assert failures["set"] == 3
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)] == [f"r{i}" for i in range(6)]


async def test_a_file_that_goes_away_keeps_what_was_answered(tmp_path: Path) -> None:
    async with opened(tmp_path, SLOW, max_concurrent_requests_per_batch=1) as stack:
        batch = await begun(stack, "\n".join(line(f"r{i}", "hi", "slow/m") for i in range(4)))
        slow = kept_of(stack, "slow")
        async with asyncio.timeout(30):
            while slow.finished < 2:
                slow.step()
                await asyncio.sleep(0.01)
    (tmp_path / "lost").mkdir()
    for file in (tmp_path / "files").rglob("*"):
        if file.is_file():
            file.rename(tmp_path / "lost" / file.name)
    async with opened(tmp_path, SLOW) as stack:
        batch = await ended(stack, batch)
        assert batch.status == "failed"
        assert batch.errors is not None
        assert batch.errors.data[0].message
        assert batch.output_file_id is not None
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)][:2] == ["r0", "r1"]


async def test_requests_without_time_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "WINDOWS", {"24h": -1})
    async with opened(tmp_path) as stack:
        batch = await ended(stack, await begun(stack, line("a", "x") + "\n" + line("b", "y")))
        assert batch.status == "expired"
        found = await rows(stack, batch.error_file_id)
        assert [(row["custom_id"], row["error"]["code"]) for row in found] == [
            ("a", "batch_expired"),
            ("b", "batch_expired"),
        ]


async def test_one_that_waits_is_cancelled_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, SLOW, max_concurrent_batches=1) as stack:
        first = await begun(stack, line("a", "x", "slow/m"))
        second = await begun(stack, line("b", "y", "slow/m"))
        await until(stack, first, lambda _: bool(kept_of(stack, "slow").calls))
        await stack.batches.cancel_batch(second.id)
        second = await ended(stack, second)
        assert second.status == "cancelled"
        assert kept_of(stack, "slow").calls == 1
        assert (await stack.batches.get_batch(first.id)).status == "in_progress"
        kept_of(stack, "slow").open()
        assert (await ended(stack, first)).status == "completed"


async def test_a_beginning_mark_and_other_line_ends(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        text = "\ufeff" + "\r\n".join([line("é/1", "ü"), "", line("b", "y")]) + "\r\n"
        batch = await ended(stack, await begun(stack, text))
        assert batch.request_counts is not None
        assert batch.request_counts.model_dump() == {"total": 2, "completed": 2, "failed": 0}
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)] == ["é/1", "b"]


async def test_a_line_that_is_too_long_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack_core.providers.batches._lines.LONGEST_LINE", 1_000)
    async with opened(tmp_path) as stack:
        text = "\n".join([line("a", "x"), line("long", "y" * 3_000_000), line("c", "z")])
        batch = await ended(stack, await begun(stack, text))
        assert batch.errors is not None
        assert [(error.line, error.code) for error in batch.errors.data] == [(2, "line_too_long")]
        assert [row["custom_id"] for row in await rows(stack, batch.output_file_id)] == ["a", "c"]


async def test_requests_without_a_model_name_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        bare = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}})
        batch = await ended(stack, await begun(stack, bare))
        assert batch.model is None
        (row,) = await rows(stack, batch.error_file_id)
        assert row["response"]["status_code"] == 400


async def test_keys_of_callers_never_meet(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        made = []
        for owner, key in (("a b", "c"), ("a", "b c"), (None, "c"), ("None", "c")):
            with context.request_scope(caller=context.User(owner) if owner else None):
                made.append((await begun(stack, line("x", "y"), idempotency_key=key)).id)
        assert len(set(made)) == 4


async def test_a_key_holds_after_its_file_is_gone_and_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        first = await ended(
            stack, await begun(stack, line("a", "x"), idempotency_key="k", metadata={"a": "1", "b": "2"})
        )
        await stack.files.delete_file(first.input_file_id)
    async with opened(tmp_path) as stack:
        again = await stack.batches.create_batch(
            input_file_id=first.input_file_id,
            endpoint=first.endpoint,
            idempotency_key="k",
            metadata={"b": "2", "a": "1"},
        )
        assert again.id == first.id


async def test_a_file_of_another_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        with context.request_scope(caller=ADA):
            hers = (await begun(stack, line("a", "x"))).input_file_id
        with context.request_scope(caller=BOB), pytest.raises(NotFound):
            await stack.batches.create_batch(input_file_id=hers, endpoint="/v1/chat/completions")


async def test_a_restart_goes_on_for_the_same_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, SLOW) as stack:
        with context.request_scope(caller=ADA):
            batch = await begun(stack, line("a", "x", "slow/m"))
            await until(stack, batch, lambda _: bool(kept_of(stack, "slow").calls))
    seen: list[context.User | None] = []
    answer = type(kept_of(stack, "slow")).chat_completion

    async def watched(self: Any, request: Any) -> Any:
        seen.append(context.user.get())
        self.open()
        return await answer(self, request)

    monkeypatch.setattr(type(kept_of(stack, "slow")), "chat_completion", watched)
    async with opened(tmp_path, SLOW) as stack:
        with context.request_scope(caller=ADA):
            assert (await ended(stack, batch)).status == "completed"
    assert seen == [ADA]


async def test_a_process_that_lost_its_batch_stops(tmp_path: Path) -> None:
    async with opened(tmp_path, SLOW) as stack:
        batch = await begun(stack, "\n".join(line(f"r{i}", "x", "slow/m") for i in range(3)))
        await until(stack, batch, lambda b: bool(kept_of(stack, "slow").calls))
        mine = stack.providers_by_key["batches", "reference"].instance
        other = {"host": "elsewhere", "pid": 1, "token": "another", "seen": batch.created_at + 1_000_000}
        await mine._records.change(batch.id, lambda data: {**data, "lease": other})
        kept_of(stack, "slow").open()
        await mine._background.join(batch.id)
        assert (await stack.batches.get_batch(batch.id)).status == "in_progress"  # the other one's to end


WORKER = """
import asyncio, sys
from pathlib import Path
from tests.stack_core.providers.batches.test_reference import begun, line, opened
from tests.upstream import upstream

async def main():
    async with opened(Path(sys.argv[1]), max_concurrent_requests_per_batch=4) as stack:
        batch = await begun(stack, "\\n".join(line(f"r{i}", f"hello {i}") for i in range(3000)))
        print(batch.id, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_another_process_takes_over_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "SWEEP_SECONDS", 0.2)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[4]
    )
    assert worker.stdout is not None
    batch_id = (await worker.stdout.readline()).decode().strip()
    async with opened(tmp_path) as stack:
        store = stack.providers_by_key["batches", "reference"].instance._outcomes
        known = await stack.batches.get_batch(batch_id)
        done = 0
        while done < 100:
            known = await until(stack, known, lambda _: True)
            done = len(await store.scan(f"outcome:{batch_id}:", limit=100))
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        batch = None
        async with asyncio.timeout(60):
            while batch is None or batch.status != "completed":
                await asyncio.sleep(0.1)
                batch = (await stack.batches.list_batches()).data[0]  # which adopts nothing itself
        found = [row["custom_id"] for row in await rows(stack, batch.output_file_id)]
        assert found == [f"r{i}" for i in range(3000)]
        assert batch.request_counts.model_dump() == {"total": 3000, "completed": 3000, "failed": 0}
        assert await store.scan("outcome:", limit=1) == []
        files = (await stack.files.list_files(purpose="batch_output")).data
        assert [file.id for file in files] == [batch.output_file_id]


@pytest.mark.parametrize("endpoint", ["/v1/completions", "/v1/embeddings"])
async def test_what_no_provider_serves_is_told_line_by_line(tmp_path: Path, endpoint: str) -> None:
    body = {"model": "echo/one", "prompt": "x", "input": "x"}
    body.pop("input" if endpoint == "/v1/completions" else "prompt")
    text = json.dumps({"custom_id": "a", "method": "POST", "url": endpoint, "body": body})
    async with opened(tmp_path, ECHO) as stack:
        batch = await ended(stack, await begun(stack, text, endpoint=endpoint))
        assert batch.status == "completed"
        (row,) = await rows(stack, batch.error_file_id)
        assert row["response"]["status_code"] == 501, row


@pytest.mark.parametrize(
    ("endpoint", "body", "said"),
    [
        ("/v1/completions", {"model": "up/tiny", "prompt": "x"}, "choices"),
        ("/v1/embeddings", {"model": "up/embed", "input": ["x", "y"]}, "data"),
    ],
)
async def test_other_endpoints_are_answered_by_a_service(
    tmp_path: Path, endpoint: str, body: dict[str, Any], said: str
) -> None:
    with upstream(chunks=4) as service:
        config = {"base_url": service.url, "api_key": "none"}
        up = {"provider_id": "up", "provider_type": "remote::openai", "config": config}
        text = "\n".join(
            json.dumps({"custom_id": f"r{i}", "method": "POST", "url": endpoint, "body": body}) for i in range(3)
        )
        async with opened(tmp_path, up) as stack:
            batch = await ended(stack, await begun(stack, text, endpoint=endpoint))
            assert batch.error_file_id is None, await rows(stack, batch.error_file_id)
            found = await rows(stack, batch.output_file_id)
            assert [row["custom_id"] for row in found] == ["r0", "r1", "r2"]
            assert all(row["response"]["body"][said] for row in found)
            assert batch.usage is not None
            assert batch.usage.total_tokens > 0


async def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as stack:
        with pytest.raises(InvalidRequest) as caught:
            await begun(stack, line("a", "x"), endpoint="/v1/nope", completion_window="7d")
        assert [error["loc"] for error in caught.value.errors] == [["endpoint"], ["completion_window"]]
        with pytest.raises(InvalidRequest) as caught:
            await begun(stack, line("a", "x"), metadata={"k": "v" * 513})
        assert caught.value.errors[0]["loc"] == ["metadata", "k"]


async def test_responses_are_answered(tmp_path: Path) -> None:
    body = {"model": "echo/one", "input": "hello"}
    text = "\n".join(
        json.dumps({"custom_id": f"r{i}", "method": "POST", "url": "/v1/responses", "body": body}) for i in range(3)
    )
    async with opened(tmp_path) as stack:
        batch = await ended(stack, await begun(stack, text, endpoint="/v1/responses"))
        assert batch.error_file_id is None, await rows(stack, batch.error_file_id)
        found = [row["response"]["body"] for row in await rows(stack, batch.output_file_id)]
        assert [answer["object"] for answer in found] == ["response"] * 3
        assert found[0]["output"][0]["content"][0]["text"] == "hello"
        assert len({answer["id"] for answer in found}) == 3
        assert batch.usage is not None
        assert batch.usage.output_tokens == 3
