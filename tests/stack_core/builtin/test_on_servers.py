"""Prompts, conversations, registries, spans and batches in PostgreSQL and Redis, across a restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.apis.telemetry import QueryCondition
from stack_core.errors import Conflict
from tests.services import PostgresServer, RedisServer
from tests.stack_core.builtin.toy_stacks import run_file
from tests.stack_core.test_stack import ECHO, say

pytestmark = pytest.mark.slow


@pytest.fixture
def config(postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path) -> dict[str, Any]:
    files = {"provider_id": "files", "provider_type": "inline::localfs", "config": {"storage_dir": str(tmp_path / "f")}}
    batches = {"provider_id": "reference", "provider_type": "inline::reference", "config": {}}
    found = run_file(tmp_path, providers={"inference": [ECHO], "files": [files], "batches": [batches]})
    found["storage"] = {
        "backends": {"kv": redis_server.backend(), "sql": postgres_server.backend()},
        "stores": {
            "metadata": {"namespace": "registry", "backend": "kv"},
            "inference": {"table_name": "inference_store", "backend": "sql"},
        },
    }
    return found


async def test_prompts(config: dict[str, Any]) -> None:
    async with Stack.open(config) as one, Stack.open(config) as two:
        made = await one.prompts.create_prompt(prompt="Grüße {{ who }} 🎈", variables=["who"])
        tried = [
            stack.prompts.update_prompt(prompt_id=made.prompt_id, prompt=f"{n}", version=1, set_as_default=True)
            for n, stack in enumerate([one, two] * 5)
        ]
        ends = await asyncio.gather(*tried, return_exceptions=True)
        assert sum(not isinstance(end, BaseException) for end in ends) == 1
        assert all(isinstance(end, Conflict) for end in ends if isinstance(end, BaseException))
    async with Stack.open(config) as stack:
        versions = (await stack.prompts.list_prompt_versions(made.prompt_id)).data
        assert [row.version for row in versions] == [1, 2]
        assert (await stack.prompts.get_prompt(made.prompt_id)).version == 2
        many = [await stack.prompts.create_prompt(prompt=f"p{n}") for n in range(30)]
        listed = [row.prompt_id for row in (await stack.prompts.list_prompts()).data]
        assert listed == [*(row.prompt_id for row in reversed(many)), made.prompt_id]


async def test_conversations(config: dict[str, Any]) -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "naïve 😀"}]}
    async with Stack.open(config) as stack:
        made = await stack.conversations.create_conversation(items=[message], metadata={"a": "b"})
        await asyncio.gather(*(stack.conversations.create_items(made.id, items=[message] * 5) for _ in range(8)))
    async with Stack.open(config) as stack:
        seen: list[str] = []
        after = None
        while True:
            page = await stack.conversations.list_items(made.id, limit=7, after=after, order="asc")
            seen += [item.id for item in page.data]
            after = page.last_id
            if not page.has_more:
                break
        assert len(set(seen)) == len(seen) == 41
        await stack.conversations.delete_conversation(made.id)


async def test_registries(config: dict[str, Any]) -> None:
    source = {"type": "rows", "rows": [{"n": 1}]}
    names = ["a/b", "ü:*?[x]", "B", "a", "z%_"]
    async with Stack.open(config) as stack:
        for name in names:
            await stack.datasets.register_dataset(dataset_id=name, purpose="eval/question-answer", source=source)
            await stack.datasetio.append_rows(name, [{"n": 2}])
    async with Stack.open(config) as stack:
        seen: list[str] = []
        page = await stack.datasets.list_datasets(limit=2)
        while True:
            seen += [row.identifier for row in page.data]
            if not page.has_more:
                break
            page = await stack.datasets.list_datasets(limit=2, after=page.last_id)
        assert seen == sorted(names)
        for name in names:
            assert [row["n"] for row in (await stack.datasetio.iterrows(name)).data] == [1, 2]
            await stack.datasets.unregister_dataset(name)


async def test_spans(config: dict[str, Any]) -> None:
    async with Stack.open(config) as stack:
        for name in ("ada", "bob"):
            with context.request_scope(caller=context.User(name)):
                await stack.inference.chat_completion(model="echo/one", messages=say(f"I am {name}"))
    async with Stack.open(config) as stack:
        with context.request_scope(caller=context.User("bob")):
            asked = [QueryCondition(key="name", op="eq", value="chat one")]
            (span,) = (await stack.telemetry.query_spans(attribute_filters=asked, attributes_to_return=[])).data
            assert "I am bob" in str(span)
            await stack.telemetry.get_span_tree(span.span_id)
            series = await stack.telemetry.query_metrics("total_tokens", query_type="range", start_time=0)
            assert sum(point.value for row in series.data for point in row.values) == 6
            source = {"type": "rows", "rows": []}
            await stack.datasets.register_dataset(dataset_id="spans", purpose="eval/question-answer", source=source)
            await stack.telemetry.save_spans_to_dataset(
                attribute_filters=asked, attributes_to_save=["enduser.id"], dataset_id="spans"
            )
            assert [row["enduser.id"] for row in (await stack.datasetio.iterrows("spans")).data] == ["bob"]


async def test_batches(config: dict[str, Any]) -> None:
    lines = []
    for number in range(300):
        body = {"model": "echo/one", "messages": [{"role": "user", "content": f"hello {number}"}]}
        lines.append({"custom_id": f"é{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
    text = "\n".join(map(json.dumps, lines)).encode()
    async with Stack.open(config) as stack:
        file = await stack.files.create_file(file=("in.jsonl", text), purpose="batch")
        batch = await stack.batches.create_batch(input_file_id=file.id, endpoint="/v1/chat/completions")
        async with asyncio.timeout(60):
            while not (batch.request_counts and batch.request_counts.total):
                await asyncio.sleep(0.01)
                batch = await stack.batches.get_batch(batch.id)
    async with Stack.open(config) as stack, asyncio.timeout(60):
        while batch.status != "completed":
            await asyncio.sleep(0.05)
            batch = await stack.batches.get_batch(batch.id)
        content = await (await stack.files.get_file_content(batch.output_file_id)).read()
        found = [json.loads(row)["custom_id"] for row in content.splitlines()]
        assert found == [f"é{number}" for number in range(300)]
