"""What every store must do, whatever keeps it. A new backend joins by one entry in `BACKENDS`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack_core.errors import ConfigError, Conflict, InvalidRequest, StoreUnavailable
from stack_core.storage.backends import Backends
from stack_core.storage.kv import KeyValue, Scoped
from stack_core.storage.sql import Column, Prefixed, Sql, Table, Where

Settings = dict[str, Any]
"""A storage backend as the run file has it."""


def on_sqlite(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return {"db_path": str(folder / "store.db")}


def in_memory(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return {"db_path": ":memory:"}


def on_postgres(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return dict(request.getfixturevalue("postgres_server").backend())


def on_redis(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return dict(request.getfixturevalue("redis_server").backend())


def on_mongodb(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return dict(request.getfixturevalue("mongodb_server").backend())


Place = Callable[[pytest.FixtureRequest, Path], Settings]
TABLES: dict[str, tuple[str, Place]] = {
    "sqlite": ("sql_sqlite", on_sqlite),
    "sqlite-memory": ("sql_sqlite", in_memory),
    "postgres": ("sql_postgres", on_postgres),
}
KEYS: dict[str, tuple[str, Place]] = {
    "sqlite": ("kv_sqlite", on_sqlite),
    "sqlite-memory": ("kv_sqlite", in_memory),
    "postgres": ("kv_postgres", on_postgres),
    "redis": ("kv_redis", on_redis),
    "mongodb": ("kv_mongodb", on_mongodb),
}


def each(backends: dict[str, tuple[str, Place]]) -> list[Any]:
    """What needs a server is slow."""
    return [
        pytest.param(row, id=name, marks=() if name.startswith("sqlite") else pytest.mark.slow)
        for name, row in backends.items()
    ]


@asynccontextmanager
async def opened_sql(settings: Settings) -> AsyncIterator[Sql]:
    async with Backends({"it": settings}) as backends:
        yield backends.sql("it")


@asynccontextmanager
async def opened_kv(settings: Settings) -> AsyncIterator[KeyValue]:
    async with Backends({"it": settings}) as backends:
        yield backends.kv("it", "n")


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


@pytest.fixture(params=each(TABLES))
def settings_sql(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    kind, place = request.param
    return {**place(request, tmp_path), "type": kind}


@pytest.fixture(params=each(KEYS))
def settings_kv(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    kind, place = request.param
    return {**place(request, tmp_path), "type": kind}


@pytest.fixture
async def sql(settings_sql: Settings) -> AsyncIterator[Sql]:
    async with opened_sql(settings_sql) as store:
        await store.ensure(PEOPLE)
        yield store


@pytest.fixture
async def kv(settings_kv: Settings) -> AsyncIterator[KeyValue]:
    async with opened_kv(settings_kv) as store:
        yield store


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.sets(TEXT, max_size=12), prefix=TEXT, after=st.none() | TEXT)
def test_scan_agrees_with_plain_python(settings_kv: Settings, keys: set[str], prefix: str, after: str | None) -> None:
    """Also for keys with U+10FFFF, U+D7FF, NUL and wildcards."""
    keys = keys | {prefix + "\U0010ffff", prefix + "x"}

    async def found() -> list[str]:
        async with opened_kv(settings_kv) as kv:
            for key, _ in await kv.scan():
                await kv.delete(key)
            await asyncio.gather(*(kv.set(key, "v") for key in keys))
            return [key for key, _ in await kv.scan(prefix, after=after)]

    assert asyncio.run(found()) == sorted(
        key for key in keys if key.startswith(prefix) and (after is None or key > after)
    )


SPECIAL = [
    "%",
    "_",
    "\\",
    "'",
    '"',
    "?",
    "$1",
    "\0",
    "\1",
    "\1\1",
    "\1\2",
    "\2",
    "é",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\U0001f600",
]


class TestKeyValueMore:
    async def test_any_text_comes_back(self, kv: KeyValue) -> None:
        for text in SPECIAL:
            await kv.set(f"k{text}", f"v{text}")
        assert await kv.scan("k") == [(f"k{text}", f"v{text}") for text in sorted(SPECIAL)]
        for text in SPECIAL:
            assert await kv.get(f"k{text}") == f"v{text}"
            assert f"k{text}" in [key for key, _ in await kv.scan(f"k{text}")]

    async def test_an_empty_key_and_value(self, kv: KeyValue) -> None:
        await kv.set("", "")
        assert await kv.get("") == ""
        assert await kv.scan() == [("", "")]
        assert await kv.scan(after="") == []

    async def test_half_a_character_is_refused(self, kv: KeyValue) -> None:
        for call in (kv.set("k", "\ud83d"), kv.set("\ud83d", "v"), kv.get("\ud83d"), kv.scan("\ud83d")):
            with pytest.raises(InvalidRequest):
                await call
        assert await kv.scan() == []

    async def test_many_callers_at_once_lose_nothing(self, kv: KeyValue) -> None:
        await asyncio.gather(
            *(kv.set(f"{i:03}", str(i)) for i in range(320)), *(kv.set("same", "v") for _ in range(32))
        )
        assert await kv.scan() == [*((f"{i:03}", str(i)) for i in range(320)), ("same", "v")]

    async def test_a_long_scan_and_its_pages(self, kv: KeyValue) -> None:
        keys = [f"{i:05}" for i in range(2_345)]
        await asyncio.gather(*(kv.set(key, key) for key in keys))
        assert [key for key, _ in await kv.scan()] == keys
        assert [key for key, _ in await kv.scan(limit=2_001)] == keys[:2_001]
        assert [key for key, _ in await kv.scan(after=keys[2_000], limit=1_000)] == keys[2_001:]
        assert await kv.scan(limit=0) == []

    async def test_a_namespace_of_the_backend_is_around_the_others(self, settings_kv: Settings) -> None:
        if settings_kv.get("db_path") == ":memory:":
            return
        async with Backends({"in": {**settings_kv, "namespace": "apart"}, "out": settings_kv}) as backends:
            await backends.kv("in", "n").set("k", "in")
            await backends.kv("out", "n").set("k", "out")
            assert await backends.kv("in", "n").scan() == [("k", "in")]
            assert await backends.kv("out", "n").scan() == [("k", "out")]


class TestSqlMore:
    async def test_any_text_comes_back_in_order(self, sql: Sql) -> None:
        await sql.insert("people", [person(text, name=text, tags={text: text}) for text in SPECIAL])
        assert [r["id"] for r in await sql.select("people", order=[("name", "asc")])] == sorted(SPECIAL)
        for text in SPECIAL:
            assert (await sql.select("people", [Where("name", "=", text)]))[0] == person(
                text, name=text, tags={text: text}
            )
            found = await sql.select("people", [Where("name", "prefix", text)], order=[("id", "asc")])
            assert [r["id"] for r in found] == sorted(t for t in SPECIAL if t.startswith(text))
        await sql.insert("people", [person("\0", name="again")], replace=True)
        assert await sql.select("people", [Where("id", "in", ["\0", "\1"])], order=[("id", "asc")]) == [
            person("\0", name="again"),
            person("\1", name="\1", tags={"\1": "\1"}),
        ]

    async def test_values_of_another_type_are_refused(self, sql: Sql) -> None:
        for wrong in (
            {"age": "1"},
            {"age": 1.5},
            {"age": 2**63},
            {"name": 1},
            {"height": "1"},
            {"height": float("nan")},
        ):
            with pytest.raises(InvalidRequest, match=next(iter(wrong))):
                await sql.insert("people", [person("a", **{"name": "A", **wrong})])
        await sql.insert("people", [person("a", age=-(2**63), height=1), person("b", age=True, height=float("inf"))])
        rows = await sql.select("people", order=[("id", "asc")])
        assert [(r["age"], r["height"]) for r in rows] == [(-(2**63), 1.0), (1, float("inf"))]

    async def test_null_sorts_before_every_value(self, sql: Sql) -> None:
        await sql.insert("people", [person(i, height=h) for i, h in (("a", 1.0), ("b", None), ("c", -1.0))])
        for way, ids in (("asc", "bca"), ("desc", "acb")):
            rows = await sql.select("people", order=[("height", way)])  # type: ignore[list-item]  # a loop's text is no Literal
            assert "".join(r["id"] for r in rows) == ids

    async def test_32_writers_at_once_lose_nothing(self, sql: Sql) -> None:
        left = iter(range(640))

        async def writer() -> None:
            for i in left:
                await sql.insert("people", [person(f"{i:04}", tags=lambda: '{"made": true}')])

        await asyncio.gather(*(writer() for _ in range(32)))
        rows = await sql.select("people", order=[("id", "asc")])
        assert [r["id"] for r in rows] == [f"{i:04}" for i in range(640)]

    async def test_the_last_of_rows_that_replace_each_other_stays(self, sql: Sql) -> None:
        await sql.insert("people", [person("a", age=1), person("a", age=2)], replace=True)
        assert await sql.select("people") == [person("a", age=2)]

    async def test_an_enqueued_row_that_cannot_be_stored_takes_no_other_along(
        self, sql: Sql, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = [[person(str(i))] for i in range(5)]
        rows[2] = [{"id": "2"}]
        assert all(sql.enqueue("people", part) for part in rows)
        await sql.flush()
        assert [r["id"] for r in await sql.select("people", order=[("id", "asc")])] == list("0134")
        assert "1 rows were not stored" in caplog.text

    async def test_what_was_enqueued_is_there_after_closing(self, settings_sql: Settings) -> None:
        if settings_sql.get("db_path") == ":memory:":
            return
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(PEOPLE)
            assert all(sql.enqueue("people", [person(str(i))]) for i in range(500))
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(PEOPLE)
            assert len(await sql.select("people")) == 500

    async def test_prefixed_tables_are_apart(self, sql: Sql) -> None:
        other = Prefixed(sql, "other_")
        await other.ensure(PEOPLE)
        await other.insert("people", [person("a")])
        assert await sql.select("people") == []
        assert await sql.select("other_people") == [person("a")]

    async def test_long_names_of_indexes_stay_apart(self, sql: Sql) -> None:
        columns = tuple(Column("a_rather_long_name_of_a_column_" + c, "text") for c in "xyz")
        table = Table("t" * 63, (Column("id", "text", primary=True), *columns), tuple((c.name,) for c in columns))
        await sql.ensure(table)
        await sql.ensure(Table(table.name, table.columns, (*table.indexes, ("id",))))
        await sql.insert(table.name, [{"id": "a"}])


SECOND = Table(
    "people",
    (*PEOPLE.columns, Column("extra", "json"), Column("third", "integer")),
    indexes=(*PEOPLE.indexes, ("third",)),
    version=3,
    migrations=((Column("extra", "json"),), (Column("third", "integer"),)),
)


class TestVersions:
    @pytest.fixture(params=each({name: row for name, row in TABLES.items() if name != "sqlite-memory"}))
    def settings_sql(self, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
        """Without memory, which does not last."""
        kind, place = request.param
        return {**place(request, tmp_path), "type": kind}

    async def test_an_older_table_gains_its_columns(self, settings_sql: Settings) -> None:
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(PEOPLE)
            await sql.insert("people", [person("old")])
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(SECOND)
            await sql.insert("people", [person("new", extra={"a": 1}, third=3)])
            assert await sql.select("people", [Where("third", "=", None)]) == [person("old", extra=None, third=None)]

    async def test_a_newer_table_is_refused_and_left_alone(self, settings_sql: Settings) -> None:
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(SECOND)
            await sql.insert("people", [person("new", third=3)])
        async with opened_sql(settings_sql) as sql:
            with pytest.raises(StoreUnavailable, match="version 3"):
                await sql.ensure(PEOPLE)
            await sql.ensure(SECOND)
            assert (await sql.select("people"))[0]["third"] == 3

    async def test_an_upgrade_that_fails_changes_nothing(self, settings_sql: Settings) -> None:
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(PEOPLE)
            await sql.insert("people", [person("old")])
        twice = Table(
            "people", SECOND.columns, SECOND.indexes, 3, ((Column("extra", "json"),), (Column("age", "integer"),))
        )
        async with opened_sql(settings_sql) as sql:
            with pytest.raises(StoreUnavailable):
                await sql.ensure(twice)  # its second step adds a column that is there
        async with opened_sql(settings_sql) as sql:
            await sql.ensure(SECOND)  # would fail, were the first step done
            assert await sql.select("people") == [person("old", extra=None, third=None)]

    async def test_two_processes_ensure_at_once(self, settings_sql: Settings) -> None:
        code = (
            "import asyncio, json, sys\n"
            "from stack_core.storage.backends import Backends\n"
            "from stack_core.storage.sql import Column, Table\n"
            "async def main():\n"
            "    async with Backends({'it': json.loads(sys.argv[1])}) as backends:\n"
            "        sql = backends.sql('it')\n"
            "        sys.stdin.readline()\n"
            "        for i in range(20):\n"
            "            await sql.ensure(Table(f't{i}', (Column('id', 'text', primary=True),), (('id',),)))\n"
            "            await sql.insert(f't{i}', [{'id': sys.argv[2]}])\n"
            "asyncio.run(main())\n"
        )
        given = json.dumps(settings_sql)
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", code, given, name, stdin=subprocess.PIPE)
            for name in "abc"
        ]
        await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        assert [process.returncode for process in processes] == [0, 0, 0]
        async with opened_sql(settings_sql) as sql:
            for i in range(20):
                await sql.ensure(Table(f"t{i}", (Column("id", "text", primary=True),), (("id",),)))
                assert {r["id"] for r in await sql.select(f"t{i}")} == set("abc")

    async def test_a_name_that_is_no_identifier_is_refused(self, settings_sql: Settings) -> None:
        async with opened_sql(settings_sql) as sql:
            for name in ("a; DROP TABLE people", 'a"b', "", "1a", "é", "a" * 64):
                with pytest.raises(ConfigError):
                    await sql.ensure(Table(name, PEOPLE.columns))
