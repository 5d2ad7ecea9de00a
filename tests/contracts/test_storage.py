"""What every store must do, whatever keeps it. A new backend joins by one entry in `BACKENDS`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack_core.errors import Conflict, InvalidRequest
from stack_core.storage.kv import KeyValue, Scoped
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sql import Column, Sql, Table, Where
from stack_core.storage.sqlite import open_sqlite

BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Sql]]] = {
    "sqlite": lambda folder: open_sqlite(str(folder / "store.db")),
    "sqlite-memory": lambda folder: open_sqlite(":memory:"),
}

PEOPLE = Table(
    "people",
    (
        Column("id", "text", primary=True),
        Column("age", "integer"),
        Column("height", "real"),
        Column("tags", "json"),
        Column("name", "text", nullable=False),
    ),
    indexes=(("age", "name"),),
)


def person(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "name": id.upper(), "age": None, "height": None, "tags": None, **more}


@pytest.fixture(params=BACKENDS)
async def sql(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sql]:
    async with BACKENDS[request.param](tmp_path) as store:
        await store.ensure(PEOPLE)
        yield store


@pytest.fixture
def kv(sql: Sql) -> KeyValue:
    return KeyValueTable(sql)


class TestSql:
    async def test_rows_come_back_as_they_were_given(self, sql: Sql) -> None:
        row = person("a", age=2**53 + 1, height=1.5, tags={"x": [1, None, "é\ud83d"], "y": {}}, name="Ž\x00'\"; --")
        await sql.insert("people", [row])
        assert await sql.select("people") == [row]

    async def test_a_missing_column_is_null(self, sql: Sql) -> None:
        await sql.insert("people", [{"id": "a", "name": "A"}])
        assert await sql.select("people") == [person("a")]

    async def test_a_json_column_takes_a_function_that_makes_text(self, sql: Sql) -> None:
        await sql.insert("people", [person("a", tags=lambda: '{"made": 1}'), person("b", tags=lambda: b"[2]")])
        assert [r["tags"] for r in await sql.select("people", order=[("id", "asc")])] == [{"made": 1}, [2]]

    async def test_a_duplicate_is_a_conflict_and_adds_none_of_its_rows(self, sql: Sql) -> None:
        await sql.insert("people", [person("a", age=1)])
        with pytest.raises(Conflict):
            await sql.insert("people", [person("b"), person("a", age=2)])
        assert await sql.select("people") == [person("a", age=1)]

    async def test_replace_overwrites_the_whole_row(self, sql: Sql) -> None:
        await sql.insert("people", [person("a", age=1, tags=[1])])
        await sql.insert("people", [{"id": "a", "name": "N"}], replace=True)
        assert await sql.select("people") == [person("a", name="N")]

    async def test_one_failing_write_of_many_at_once_fails_alone(self, sql: Sql) -> None:
        await sql.insert("people", [person("5")])
        writes = [sql.insert("people", [person(str(i))]) for i in range(20)]
        writes += [
            sql.insert("people", [{"id": "nameless"}]),
            sql.update("people", {"age": 7}, [Where("id", "=", "5")]),
        ]
        done = await asyncio.gather(*writes, return_exceptions=True)
        assert [i for i, r in enumerate(done) if isinstance(r, BaseException)] == [5, 20]
        assert isinstance(done[5], Conflict)
        assert isinstance(done[20], InvalidRequest)
        assert done[21] == 1
        rows = await sql.select("people")
        assert {r["id"] for r in rows} == {str(i) for i in range(20)}
        assert [r["age"] for r in rows if r["id"] == "5"] == [7]

    async def test_a_row_that_cannot_be_stored_fails_alone(self, sql: Sql) -> None:
        bad = [
            {"id": "x", "name": "X", "tags": object()},
            {"id": "y", "name": "\ud83d"},
            {"id": "z", "name": "Z", "age": 2**80},
            {"id": "v", "name": "V", "age": object()},
            {"id": "w", "name": "W", "nme": 1},
        ]
        done = await asyncio.gather(
            *(sql.insert("people", [row]) for row in [*bad, person("ok")]), return_exceptions=True
        )
        assert [type(r) for r in done] == [InvalidRequest] * 5 + [type(None)]
        assert "nme" in str(done[4])
        assert [r["id"] for r in await sql.select("people")] == ["ok"]

    async def test_many_rows_in_one_insert_are_all_or_none(self, sql: Sql) -> None:
        rows = [person(f"{i:05}") for i in range(3000)]
        with pytest.raises(Conflict):
            await sql.insert("people", [*rows, rows[0]])
        assert await sql.select("people") == []
        await sql.insert("people", rows)
        assert await sql.select("people", order=[("id", "asc")]) == rows

    async def test_no_rows_is_no_write(self, sql: Sql) -> None:
        await sql.insert("people", [])
        assert await sql.select("people") == []

    @pytest.mark.parametrize(
        ("where", "ids"),
        [
            ([Where("age", "=", 2)], "b"),
            ([Where("age", "=", None)], "d"),
            ([Where("age", "<", 3), Where("age", ">", 1)], "b"),
            ([Where("age", "<=", 2)], "ab"),
            ([Where("age", ">=", 2)], "bc"),
            ([Where("age", "in", [1, 3, 9])], "ac"),
            ([Where("age", "in", [])], ""),
            ([Where("id", "in", ["a", "b' OR 1=1 --"])], "a"),
            ([Where("name", "prefix", "N%")], "a"),
            ([Where("name", "prefix", "")], "abcd"),
            ([Where("tags", "=", None)], "abcd"),
        ],
    )
    async def test_conditions(self, sql: Sql, where: list[Where], ids: str) -> None:
        names = {"a": "N%x", "b": "Nx", "c": "_", "d": "%"}
        await sql.insert("people", [person(i, age=age, name=names[i]) for i, age in zip("abc", (1, 2, 3), strict=True)])
        await sql.insert("people", [person("d", name=names["d"])])
        assert "".join(r["id"] for r in await sql.select("people", where, order=[("id", "asc")])) == ids

    async def test_order_limit_and_offset(self, sql: Sql) -> None:
        ages = [("a", 2), ("b", 1), ("c", 2), ("d", None)]
        await sql.insert("people", [person(i, age=age) for i, age in ages])

        async def ids(**how: Any) -> str:
            return "".join(r["id"] for r in await sql.select("people", **how))

        assert await ids(order=[("age", "asc"), ("id", "desc")]) == "dbca"
        assert await ids(order=[("age", "desc"), ("id", "asc")], limit=2) == "ac"
        assert await ids(order=[("id", "asc")], limit=2, offset=1) == "bc"
        assert await ids(order=[("id", "asc")], offset=3) == "d"
        assert await ids(limit=0) == ""

    async def test_update_and_delete_give_their_number(self, sql: Sql) -> None:
        await sql.insert("people", [person(i, age=1) for i in "abc"])
        assert await sql.update("people", {"age": 5, "tags": ["t"]}, [Where("id", "in", ["a", "b"])]) == 2
        assert await sql.delete("people", [Where("age", "=", 5)]) == 2
        assert await sql.delete("people", [Where("age", "=", 5)]) == 0
        assert await sql.select("people") == [person("c", age=1)]

    @pytest.mark.parametrize(
        "ask",
        [
            lambda s: s.select("people", [Where("agee", "=", 1)]),
            lambda s: s.select("people", order=[("agee", "asc")]),
            lambda s: s.select("people", [Where("tags", "=", [1])]),
            lambda s: s.select("people", [Where("age", "like", 1)]),
            lambda s: s.select("people", limit=-1),
            lambda s: s.select("nowhere"),
            lambda s: s.update("people", {"agee": 1}, []),
            lambda s: s.update("people", {}, []),
            lambda s: s.delete("nowhere", []),
        ],
    )
    async def test_a_wrong_question_is_refused(self, sql: Sql, ask: Any) -> None:
        with pytest.raises(InvalidRequest):
            await ask(sql)

    async def test_enqueued_rows_are_there_after_flush(self, sql: Sql) -> None:
        assert sql.enqueue("people", [person("a", age=1)])
        assert sql.enqueue("people", [person("a", age=2), person("b")])
        await sql.flush()
        assert await sql.select("people", order=[("id", "asc")]) == [person("a", age=2), person("b")]

    async def test_ensure_twice_keeps_the_rows(self, sql: Sql) -> None:
        await sql.insert("people", [person("a")])
        await sql.ensure(PEOPLE)
        assert await sql.select("people") == [person("a")]

    async def test_reads_see_every_write_that_returned(self, sql: Sql) -> None:
        async def write_then_read(i: int) -> bool:
            await sql.insert("people", [person(str(i))])
            return bool(await sql.select("people", [Where("id", "=", str(i))]))

        assert all(await asyncio.gather(*(write_then_read(i) for i in range(50))))


class TestKeyValue:
    async def test_set_get_delete(self, kv: KeyValue) -> None:
        assert await kv.get("a") is None
        await kv.set("a", "1")
        await kv.set("a", "2")
        assert await kv.get("a") == "2"
        assert await kv.delete("a") is True
        assert await kv.delete("a") is False
        assert await kv.get("a") is None

    async def test_scan_pages_by_key(self, kv: KeyValue) -> None:
        for key in ("m:b", "m:a", "n:a", "m%", "m:c", "M:z"):
            await kv.set(key, key)
        assert await kv.scan("m:") == [("m:a", "m:a"), ("m:b", "m:b"), ("m:c", "m:c")]
        assert await kv.scan("m:", after="m:a", limit=1) == [("m:b", "m:b")]
        assert await kv.scan("m:", after="m:c") == []
        assert [k for k, _ in await kv.scan()] == ["M:z", "m%", "m:a", "m:b", "m:c", "n:a"]

    async def test_namespaces_do_not_see_each_other(self, kv: KeyValue) -> None:
        one, two = Scoped(kv, "one"), Scoped(kv, "two")
        await one.set("k", "1")
        await two.set("k", "2")
        await two.set("l", "3")
        assert await one.scan() == [("k", "1")]
        assert await two.scan("", after="k") == [("l", "3")]
        assert await two.delete("k")
        assert await one.get("k") == "1"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=40, deadline=None)
@given(keys=st.sets(TEXT, max_size=12), prefix=TEXT, after=st.none() | TEXT)
@pytest.mark.parametrize("backend", BACKENDS)
def test_scan_agrees_with_plain_python(
    backend: str, keys: set[str], prefix: str, after: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also for keys with U+10FFFF, U+D7FF, NUL and wildcards."""
    keys = keys | {prefix + "\U0010ffff", prefix + "x"}

    async def found() -> list[str]:
        async with BACKENDS[backend](tmp_path_factory.mktemp("scan")) as sql:
            kv = KeyValueTable(sql)
            await asyncio.gather(*(kv.set(key, "v") for key in keys))
            return [key for key, _ in await kv.scan(prefix, after=after)]

    assert asyncio.run(found()) == sorted(
        key for key in keys if key.startswith(prefix) and (after is None or key > after)
    )
