"""A whole stack whose state is in PostgreSQL and Redis: from a mapping, and from the run files of Llama Stack."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import StoreUnavailable
from tests.services import PASSWORD, PostgresServer, RedisServer
from tests.stack_core.test_stack import ECHO, say

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[3] / "shared" / "distributions"
RUN_FILES = sorted(SHARED.glob("*/*.yaml")) if SHARED.is_dir() else []
WITH_POSTGRES = [file for file in RUN_FILES if "sql_postgres" in file.read_text()]


def on_servers(postgres: PostgresServer, redis: RedisServer) -> dict[str, Any]:
    storage = {
        "backends": {"kv": redis.backend(), "sql": postgres.backend()},
        "stores": {
            "metadata": {"namespace": "registry", "backend": "kv"},
            "inference": {"table_name": "inference_store", "backend": "sql", "num_writers": 4},
        },
    }
    return {"image_name": "t", "providers": {"inference": [ECHO]}, "storage": storage}


async def test_what_a_stack_keeps_is_there_after_a_restart(
    postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    config = on_servers(postgres_server, redis_server)
    async with Stack.open(config) as stack:
        asked = [stack.inference.chat_completion(model="echo/one", messages=say(f"n {i}")) for i in range(32)]
        texts = {answer.choices[0].message.content for answer in await asyncio.gather(*asked)}
        await stack.models.register_model(model_id="mine", provider_model_id="two", provider_id="echo")
    async with Stack.open(config) as stack:
        first = await stack.inference.list_chat_completions(limit=20)
        rest = await stack.inference.list_chat_completions(limit=20, after=first.last_id)
        assert {row.choices[0].message.content for row in (*first.data, *rest.data)} == texts
        assert len(texts) == 32
        assert (await stack.inference.chat_completion(model="mine", messages=say("x"))).model == "mine"
        kept = await stack.traces(limit=100)
        assert len(kept) >= 33  # those of the run before are in the table of spans
        assert await stack.trace(kept[-1].trace_id[:12])
        assert [row.api for row in stack.unavailable if row.api == "storage"] == []


async def test_a_stack_lives_on_while_its_database_is_away(
    postgres_server: PostgresServer, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Stack.open(on_servers(postgres_server, redis_server)) as stack:
        await stack.inference.chat_completion(model="echo/one", messages=say("before"))
        await asyncio.to_thread(postgres_server.stop)
        try:
            with caplog.at_level(logging.WARNING, "stack_core"):
                answer = await stack.inference.chat_completion(model="echo/one", messages=say("meanwhile"))
            assert answer.choices[0].message.content == "meanwhile"
            with pytest.raises(StoreUnavailable) as caught:
                await stack.inference.list_chat_completions()
            assert caught.value.status == 503
        finally:
            await asyncio.to_thread(postgres_server.start)
        await stack.inference.chat_completion(model="echo/one", messages=say("after"))
        listed = await stack.inference.list_chat_completions(order="asc")
        assert [row.choices[0].message.content for row in listed.data] == ["before", "after"]
    assert "was not stored" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.skipif(not WITH_POSTGRES, reason="needs the run files of ../shared")
@pytest.mark.parametrize("file", WITH_POSTGRES, ids=lambda file: f"{file.parent.name}/{file.stem}")
async def test_a_run_file_of_llama_stack_runs_on_postgres(
    file: Path, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    given = postgres_server.backend()
    names = {"host": "HOST", "port": "PORT", "db": "DB", "user": "USER", "password": "PASSWORD"}
    env = {f"POSTGRES_{name}": str(given[field]) for field, name in names.items()}
    env |= {"SQLITE_STORE_DIR": str(tmp_path), "VLLM_URL": "http://127.0.0.1:9/v1", "INFERENCE_MODEL": "m"}
    async with Stack.open(file, env) as stack:
        assert [row for row in stack.unavailable if row.api == "storage"] == []
        await stack.inference.list_chat_completions()
        await stack.models.list_models()
    tables = {name for (name,) in postgres_server.execute("SELECT tablename FROM pg_tables", given["db"])}
    assert {"stack_inference_store", "stack_spans", "stack_tables"} <= tables
    assert not [name for name in tables if name == "llamastack_kvstore"]
