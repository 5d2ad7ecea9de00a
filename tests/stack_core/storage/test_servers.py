"""What is particular to stores on a server: it goes away and comes back, refuses, or holds what others made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from stack_core.errors import InvalidRequest, StackError, StoreUnavailable
from stack_core.storage import _postgres_queue, mongodb, postgres, redis
from stack_core.storage.backends import Backends
from stack_core.storage.kv import KeyValue
from stack_core.storage.sql import Column, Sql, Table
from tests.services import PASSWORD, PostgresServer, RedisServer

pytestmark = pytest.mark.slow

ROWS = Table("rows", (Column("id", "text", primary=True), Column("value", "text", nullable=False)))


@asynccontextmanager
async def tables(settings: dict[str, Any]) -> AsyncIterator[Sql]:
    async with Backends({"it": settings}) as backends:
        yield backends.sql("it")


@asynccontextmanager
async def keys(settings: dict[str, Any]) -> AsyncIterator[KeyValue]:
    async with Backends({"it": settings}) as backends:
        yield backends.kv("it", "n")


def login(settings: dict[str, Any]) -> dict[str, Any]:
    """What the driver takes, for a program beside the store."""
    return {"database" if name == "db" else name: value for name, value in settings.items() if name != "type"}


async def refusal(settings: dict[str, Any]) -> StoreUnavailable:
    """What a call says; the password is in none of it, nor in the error behind it."""
    with pytest.raises(StoreUnavailable) as caught:
        if settings["type"].startswith("sql"):
            async with tables(settings) as sql:
                await sql.ensure(ROWS)
        else:
            async with keys(settings) as kv:
                await kv.get("k")
    error = caught.value
    assert error.status == 503
    assert error.hint
    for said in (error.message, error.hint, repr(error), repr(error.__cause__), str(error.__cause__)):
        assert PASSWORD not in said
        assert "wrong-password" not in said
    return error


async def test_a_postgres_goes_away_and_comes_back(postgres_server: PostgresServer) -> None:
    async with tables(postgres_server.backend()) as sql:
        await sql.ensure(ROWS)
        await asyncio.gather(*(sql.insert("rows", [{"id": str(i), "value": "v"}]) for i in range(20)))
        await asyncio.to_thread(postgres_server.stop)
        try:
            calls = [sql.select("rows"), sql.insert("rows", [{"id": "x", "value": "v"}]), sql.delete("rows", [])]
            done = await asyncio.gather(*calls, *(sql.select("rows") for _ in range(20)), return_exceptions=True)
            assert {type(result) for result in done} == {StoreUnavailable}
        finally:
            await asyncio.to_thread(postgres_server.start)
        assert len(await sql.select("rows")) == 20
        await sql.insert("rows", [{"id": "x", "value": "v"}])


async def test_a_redis_goes_away_and_comes_back(redis_server: RedisServer) -> None:
    async with keys(redis_server.backend()) as kv:
        await asyncio.gather(*(kv.set(str(i), "v") for i in range(20)))
        await asyncio.to_thread(redis_server.stop)
        try:
            done = await asyncio.gather(
                kv.get("1"), kv.set("x", "v"), kv.delete("1"), *(kv.scan() for _ in range(20)), return_exceptions=True
            )
            assert {type(result) for result in done} == {StoreUnavailable}
        finally:
            await asyncio.to_thread(redis_server.start)
        assert len(await kv.scan()) == 20
        await kv.set("x", "v")
        assert await kv.get("x") == "v"


async def test_rows_that_nobody_waits_for_are_lost_with_their_server_and_said_so(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with tables(postgres_server.backend()) as sql:
        await sql.ensure(ROWS)
        await asyncio.to_thread(postgres_server.stop)
        try:
            with caplog.at_level(logging.WARNING, "stack_core"):
                assert sql.enqueue("rows", [{"id": "lost", "value": "v"}])
                await sql.flush()
        finally:
            await asyncio.to_thread(postgres_server.start)
        assert "1 rows were not stored" in caplog.text
        assert sql.enqueue("rows", [{"id": "kept", "value": "v"}])
        await sql.flush()
        assert [row["id"] for row in await sql.select("rows")] == ["kept"]


async def test_what_postgres_refuses(postgres_server: PostgresServer) -> None:
    right = postgres_server.backend()
    assert "user and password" in str((await refusal({**right, "password": "wrong-password"})).hint)
    assert "user and password" in str((await refusal({**right, "user": "nobody_known"})).hint)
    assert "createdb" in str((await refusal({**right, "db": "no_such_database"})).hint)
    assert "SSL" in (await refusal({**right, "ssl_mode": "require"})).message
    missing = await refusal({**right, "ssl_mode": "verify-full", "ca_cert_path": "/no/such/file"})
    assert "ca_cert_path" in str(missing.hint)


async def test_what_redis_refuses(redis_server: RedisServer) -> None:
    place = f"127.0.0.1:{redis_server.port}"
    wrong = await refusal({"type": "kv_redis", "url": f"redis://:wrong-password@{place}/0"})
    assert "password" in str(wrong.hint)
    none = await refusal({"type": "kv_redis", "host": "127.0.0.1", "port": redis_server.port})
    assert place in none.message
    assert "redis://" in str((await refusal({"type": "kv_redis", "url": f"redis://:wrong-password@{place}x/0"})).hint)


async def test_nobody_listens(free_port: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb, "CONNECT_SECONDS", 0.5)  # MongoDB's driver asks again until then
    for settings in (
        {"type": "sql_postgres", "host": "127.0.0.1", "port": free_port(), "password": PASSWORD},
        {"type": "kv_postgres", "host": "127.0.0.1", "port": free_port(), "password": PASSWORD},
        {"type": "kv_redis", "host": "127.0.0.1", "port": free_port()},
        {"type": "kv_mongodb", "host": "127.0.0.1", "port": free_port(), "user": "u", "password": PASSWORD},
    ):
        assert str(settings["port"]) in (await refusal(settings)).message


async def test_a_server_that_never_answers(free_port: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing: the limit ends the call."""
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(redis, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(redis, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(mongodb, "CONNECT_SECONDS", 0.3)
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", port := free_port())
    try:
        for kind in ("sql_postgres", "kv_postgres", "kv_redis", "kv_mongodb"):
            error = await refusal({"type": kind, "host": "127.0.0.1", "port": port})
            assert "in time" in error.message or "timed out" in error.message
    finally:
        silent.close()
        for writer in held:
            writer.close()


async def test_a_table_that_another_program_locks(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 0.5)
    settings = postgres_server.backend()
    other = await asyncpg.connect(**login(settings))
    try:
        async with tables(settings) as sql:
            await sql.ensure(ROWS)
            await other.execute("BEGIN; LOCK TABLE rows")
            with pytest.raises(StoreUnavailable, match="in time"):
                await sql.select("rows")
            await other.execute("COMMIT")
            assert await sql.select("rows") == []
    finally:
        await other.close()


async def test_closing_does_not_wait_for_a_server_that_is_stuck(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_postgres_queue, "CLOSE_SECONDS", 0.2)
    settings = postgres_server.backend()
    other = await asyncpg.connect(**login(settings))
    try:
        async with tables(settings) as sql:
            await sql.ensure(ROWS)
            await other.execute("BEGIN; LOCK TABLE rows")
            assert sql.enqueue("rows", [{"id": "a", "value": "v"}])
        assert "1 rows were not stored" in caplog.text
    finally:
        await other.close()


async def test_a_table_of_another_program_is_refused(postgres_server: PostgresServer) -> None:
    db = postgres_server.new_database()
    postgres_server.execute("CREATE TABLE rows (something text)", db)
    async with tables(postgres_server.backend(db=db)) as sql:
        with pytest.raises(StoreUnavailable, match="another program"):
            await sql.ensure(ROWS)
    assert postgres_server.execute("SELECT * FROM rows", db) == []


async def test_a_table_that_was_removed_is_made_anew(postgres_server: PostgresServer) -> None:
    db = postgres_server.new_database()
    async with keys(postgres_server.backend("kv_postgres", db)) as kv:
        await kv.set("k", "v")
        postgres_server.execute("DROP SCHEMA public CASCADE", db)
        postgres_server.execute("CREATE SCHEMA public", db)
        with pytest.raises(StoreUnavailable, match="stack_llamastack_kvstore"):
            await kv.get("k")
        assert await kv.get("k") is None
        await kv.set("k", "v")


async def test_a_user_who_may_not_make_tables(postgres_server: PostgresServer) -> None:
    db = postgres_server.new_database()
    postgres_server.execute(f"CREATE ROLE reader_{db} LOGIN PASSWORD '{PASSWORD}'")
    postgres_server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", db)
    error = await refusal({**postgres_server.backend(db=db), "user": f"reader_{db}"})
    assert "GRANT" in str(error.hint)


async def test_two_table_names_are_two_stores(postgres_server: PostgresServer) -> None:
    one = postgres_server.backend("kv_postgres")
    two = {**one, "table_name": "others"}
    async with Backends({"one": one, "two": two}) as backends:
        await backends.kv("one", "n").set("k", "1")
        assert await backends.kv("two", "n").get("k") is None
        assert len({id(store) for store in backends._sql.values()}) == 1  # and one set of connections
    names = {name for (name,) in postgres_server.execute("SELECT tablename FROM pg_tables", one["db"])}
    assert {"stack_llamastack_kvstore", "stack_others"} <= names


async def test_a_deadlock_is_tried_again(postgres_server: PostgresServer) -> None:
    """Another program holds a row that our update waits for, and asks for one that our update has."""
    settings = postgres_server.backend()
    other = await asyncpg.connect(**login(settings))
    try:
        async with tables(settings) as sql:
            await sql.ensure(ROWS)
            await sql.insert("rows", [{"id": i, "value": "v"} for i in "ab"])
            await other.execute("BEGIN; UPDATE rows SET value = 'other' WHERE id = 'b'")
            ours = asyncio.ensure_future(sql.update("rows", {"value": "ours"}, []))
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
            while not await other.fetch(waiting):  # noqa: ASYNC110 - a lock of the server has no event here
                await asyncio.sleep(0.01)
            await other.execute("UPDATE rows SET value = 'other' WHERE id = 'a'; COMMIT")
            assert await ours == 2
            assert {row["value"] for row in await sql.select("rows")} == {"ours"}
    finally:
        await other.close()


async def test_callers_who_overwrite_the_same_rows_do_not_meet(postgres_server: PostgresServer) -> None:
    async with tables(postgres_server.backend()) as sql:
        await sql.ensure(ROWS)
        rows = [{"id": f"{i:04}", "value": "v" * 200} for i in range(400)]
        await asyncio.gather(*(sql.insert("rows", way, replace=True) for _ in range(10) for way in (rows, rows[::-1])))
        assert len(await sql.select("rows")) == 400


async def test_a_closed_store_says_so(postgres_server: PostgresServer) -> None:
    async with tables(postgres_server.backend()) as sql:
        await sql.ensure(ROWS)
    with pytest.raises(StoreUnavailable, match="clos"):
        await sql.insert("rows", [{"id": "a", "value": "v"}])
    assert sql.enqueue("rows", [{"id": "a", "value": "v"}]) is False


async def test_a_cancelled_caller_does_not_hurt_the_others(postgres_server: PostgresServer) -> None:
    async with tables(postgres_server.backend()) as sql:
        await sql.ensure(ROWS)
        calls = [asyncio.ensure_future(sql.insert("rows", [{"id": str(i), "value": "v"}])) for i in range(30)]
        await asyncio.sleep(0)
        for call in calls[::3]:
            call.cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(r) for r in done].count(type(None)) >= 20
        with pytest.raises(InvalidRequest):
            await sql.insert("rows", [{"id": "nameless"}])
        assert len(await sql.select("rows")) >= 20


async def test_errors_are_of_our_tree_alone(postgres_server: PostgresServer) -> None:
    async with tables(postgres_server.backend()) as sql:
        await sql.ensure(ROWS)
        for row in ({"id": asyncio}, {"id": "a", "value": "\ud83d"}, {"id": b"a", "value": "v"}):
            with pytest.raises(StackError):
                await sql.insert("rows", [row])
