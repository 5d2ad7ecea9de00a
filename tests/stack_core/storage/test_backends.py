"""The stores that a run file names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from stack_core.errors import ConfigError, StoreUnavailable
from stack_core.storage.backends import Backends
from stack_core.storage.sql import Column, Table

ROWS = Table("rows", (Column("id", "text", primary=True),))


def config(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "kv_default": {"type": "kv_sqlite", "db_path": f"{folder}/one/s.db"},
        "sql_default": {"type": "sql_sqlite", "db_path": f"{folder}/one/s.db"},
        "other": {"type": "sql_sqlite", "db_path": f"{folder}/two/s.db"},
        "memory": {"type": "kv_sqlite", "db_path": ":memory:"},
        "pg": {"type": "sql_postgres", "host": "nowhere", "password": "hidden-value"},
        "odd": {"type": "kv_etcd"},
        "typo": {"type": "kv_sqlite", "db_pth": "x"},
        "sync": {"type": "kv_sqlite", "synchronous": "off"},
    }


async def test_an_unused_backend_costs_nothing(tmp_path: Path) -> None:
    async with Backends(config(tmp_path)) as backends:
        kv, sql = backends.kv("kv_default", "a"), backends.sql("other")
        assert os.listdir(tmp_path) == []
        await kv.set("k", "v")
        assert os.listdir(tmp_path) == ["one"]
        await sql.ensure(ROWS)
        assert sorted(os.listdir(tmp_path)) == ["one", "two"]


async def test_values_last_and_namespaces_differ(tmp_path: Path) -> None:
    async with Backends(config(tmp_path)) as backends:
        await asyncio.gather(*(backends.kv("kv_default", name).set("k", name) for name in "abc"))
        await backends.sql("sql_default").ensure(ROWS)
    async with Backends(config(tmp_path)) as backends:
        assert [await backends.kv("kv_default", name).get("k") for name in "abc"] == ["a", "b", "c"]


async def test_memory_lasts_as_long_as_its_stack(tmp_path: Path) -> None:
    async with Backends(config(tmp_path)) as backends:
        await backends.kv("memory", "a").set("k", "v")
        assert await backends.kv("memory", "a").get("k") == "v"
    async with Backends(config(tmp_path)) as backends:
        assert await backends.kv("memory", "a").get("k") is None


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("sql", "pg", "sql_postgres.*not available"),
        ("kv", "odd", "kv_etcd.*unknown"),
        ("kv", "sql_default", "storage.backends.sql_default.type.*kv_"),
        ("kv", "kv_defalt", "no storage backend 'kv_defalt'"),
        ("kv", "typo", "db_pth"),
        ("kv", "sync", "normal or full"),
    ],
)
async def test_a_backend_that_cannot_be_used(kind: str, name: str, says: str, tmp_path: Path) -> None:
    async with Backends(config(tmp_path)) as backends:
        with pytest.raises(ConfigError, match=says) as caught:
            backends.kv(name, "n") if kind == "kv" else backends.sql(name)
    assert "hidden-value" not in f"{caught.value} {caught.value.hint}"


async def test_a_store_that_cannot_be_opened_says_so_each_time(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a file")
    async with Backends(config(tmp_path)) as backends:
        kv = backends.kv("kv_default", "a")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await kv.get("k")
        (tmp_path / "one").unlink()
        await kv.set("k", "v")
