"""The stores that a run file names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from stack_core.errors import ConfigError, MissingPackage, StoreUnavailable
from stack_core.storage import kinds
from stack_core.storage.backends import Backends
from stack_core.storage.sql import Column, Table

ROWS = Table("rows", (Column("id", "text", primary=True),))


def config(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "kv_default": {"type": "kv_sqlite", "db_path": f"{folder}/one/s.db"},
        "sql_default": {"type": "sql_sqlite", "db_path": f"{folder}/one/s.db"},
        "other": {"type": "sql_sqlite", "db_path": f"{folder}/two/s.db"},
        "memory": {"type": "kv_sqlite", "db_path": ":memory:"},
        "pg": {"type": "sql_postgres", "host": "nowhere", "password": "hidden-value", "ssl_mode": "hidden-value"},
        "hst": {"type": "kv_postgres", "hst": "hidden-value"},
        "table": {"type": "kv_postgres", "table_name": "a; DROP TABLE x"},
        "port": {"type": "kv_redis", "port": "hidden-value"},
        "url": {"type": "kv_redis", "url": "http://hidden-value"},
        "mongo": {"type": "kv_mongodb", "collection": "x"},
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
        ("sql", "pg", "storage.backends.pg.ssl_mode: .*'verify-full'"),
        ("kv", "hst", "storage.backends.hst.hst: unknown field 'hst', did you mean 'host'"),
        ("kv", "table", "storage.backends.table.table_name"),
        ("kv", "port", "storage.backends.port.port: .*integer"),
        ("kv", "url", "must begin with redis://"),
        ("kv", "mongo", "did you mean 'collection_name'"),
        ("kv", "odd", "kv_etcd.*unknown"),
        ("kv", "sql_default", "storage.backends.sql_default.type.*kv_"),
        ("kv", "kv_defalt", "no storage backend 'kv_defalt'"),
        ("kv", "typo", "db_pth"),
        ("kv", "sync", "'normal' or 'full'"),
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


async def test_a_missing_package_is_told_at_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    async with Backends({"keys": {"type": "kv_redis"}, "tables": {"type": "sql_postgres"}}) as backends:
        kv, sql = backends.kv("keys", "n"), backends.sql("tables")
        for call, extra in ((kv.get("k"), "redis"), (sql.ensure(ROWS), "postgres")):
            with pytest.raises(MissingPackage) as caught:
                await call
            assert caught.value.hint == f"pip install 'llama-magics[{extra}]'"
        assert backends.missing("keys") is not None
        assert backends.missing("no such") is None


def test_passwords_are_not_in_what_is_printed() -> None:
    for name, field in (("kv_postgres", "password"), ("kv_mongodb", "password"), ("kv_redis", "url")):
        value = "redis://:hidden-value@h:1/0" if field == "url" else "hidden-value"
        settings = kinds.KINDS[name].checked({"type": name, field: value}, "here")
        assert "hidden-value" not in f"{settings!r} {settings}"
