"""Documents in a table: ids, owners, order, pages, and changes that no one loses. On SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest

from stack_core.errors import Conflict, InvalidRequest, NotFound, UnknownId
from stack_core.storage import records
from stack_core.storage.backends import Backends
from stack_core.storage.records import Page, Records
from stack_core.storage.sql import Column, Sql, Table, Where

Settings = dict[str, Any]
PURPOSE = (Column("purpose", "text"),)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "postgres":
        return dict(request.getfixturevalue("postgres_server").backend())
    return {"type": "sql_sqlite", "db_path": str(tmp_path / "s.db")}


@pytest.fixture
async def sql(settings: Settings) -> AsyncIterator[Sql]:
    async with Backends({"it": settings}) as backends:
        yield backends.sql("it")


@pytest.fixture
def files(sql: Sql) -> Records:
    return Records(sql, "files", "file", fields=PURPOSE)


def ids(page: Page) -> str:
    return "".join(data["id"] for data in page.data)


async def make(files: Records, names: str, **more: Any) -> None:
    await files.add_all([{"id": name} for name in names], **more)


async def test_a_document_comes_back_as_it_was_given(files: Records) -> None:
    data = {"id": "file-1", "name": "é\0\ud83d", "deep": {"list": [1, None, 2.5]}}
    await files.add(data, purpose="batch")
    assert await files.get("file-1") == data
    assert await files.find("file-1", where=[Where("purpose", "=", "batch")]) == data
    assert await files.find("file-1", where=[Where("purpose", "=", "other")]) is None
    with pytest.raises(Conflict):
        await files.add(data)


async def test_an_unknown_id_names_the_nearest(sql: Sql) -> None:
    stores = Records(sql, "stores", "vector store", unknown=UnknownId)
    await stores.add({"id": "vs_abc"})
    calls = (stores.get("vs_abd"), stores.remove("vs_abd"), stores.change("vs_abd", dict), stores.owner_of("vs_abd"))
    for call in calls:
        with pytest.raises(UnknownId, match="vs_abd") as caught:
            await call
        assert "vs_abc" in str(caught.value.hint)


async def test_what_belongs_to_another_is_not_there(files: Records) -> None:
    await make(files, "ab", owner="alice")
    await make(files, "c", owner="bob")
    assert ids(await files.page(owner="alice", order="asc")) == "ab"
    for call in (
        files.get("c", owner="alice"),
        files.remove("c", owner="alice"),
        files.change("c", dict, owner="alice"),
    ):
        with pytest.raises(NotFound) as caught:
            await call
        assert "c" not in caught.value.nearest
    with pytest.raises(InvalidRequest):
        await files.page(after="c", owner="alice")
    assert await files.owner_of("c") == "bob"
    assert ids(await files.page()) == "cba"


async def test_pages_in_both_ways(files: Records) -> None:
    await make(files, "abcdefg")

    async def asked(order: Literal["asc", "desc"], **how: Any) -> tuple[str, bool]:
        page = await files.page(order=order, **how)
        return ids(page), page.has_more

    assert await asked("asc", limit=3) == ("abc", True)
    assert await asked("asc", limit=3, after="c") == ("def", True)
    assert await asked("asc", limit=3, after="f") == ("g", False)
    assert await asked("desc", limit=3, after="c") == ("ba", False)
    assert await asked("desc", limit=2) == ("gf", True)
    assert await asked("asc", after="b", before="f") == ("cde", False)
    assert await asked("desc", after="f", before="b", limit=2) == ("ed", True)
    assert await asked("asc", limit=None) == ("abcdefg", False)
    assert await asked("asc", limit=7) == ("abcdefg", False)
    assert (await files.page(limit=2, order="asc")).ends() == {"first_id": "a", "last_id": "b", "has_more": True}
    assert (await files.page(after="a")).ends() == {"first_id": None, "last_id": None, "has_more": False}


async def test_a_cursor_of_another_list_is_refused(files: Records) -> None:
    await make(files, "a", purpose="batch")
    await make(files, "b", purpose="user")
    for cursor in ({"after": "b"}, {"before": "b"}, {"after": "nowhere"}):
        with pytest.raises(InvalidRequest, match=next(iter(cursor))) as caught:
            await files.page(where=[Where("purpose", "=", "batch")], **cursor)
        assert "this very list" in str(caught.value.hint)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_documents_of_one_nanosecond_are_all_listed(
    order: Literal["asc", "desc"], sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process counts its own positions."""
    monkeypatch.setattr(records.time, "time_ns", lambda: 1_000)
    processes = [Records(sql, "files", "file") for _ in range(9)]
    await asyncio.gather(*(one.add_all([{"id": f"{n}{i}"} for i in range(4)]) for n, one in enumerate(processes)))
    every = [data["id"] for data in (await processes[0].page(limit=None, order=order)).data]
    assert len(set(every)) == 36
    for size in (1, 3, 36):
        found: list[str] = []
        more = True
        while more:
            page = await processes[1].page(limit=size, order=order, after=found[-1] if found else None)
            found += [data["id"] for data in page.data]
            more = page.has_more
        assert found == every
    between = await processes[0].page(limit=None, order=order, after=every[3], before=every[30])
    assert [data["id"] for data in between.data] == every[4:30]


async def test_the_order_survives_a_clock_that_goes_back(files: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5_000, 4_000, 1, 6_000])
    monkeypatch.setattr(records.time, "time_ns", lambda: next(times))
    for name in "abcd":
        await make(files, name)
    assert ids(await files.page(order="asc")) == "abcd"


async def test_changes_at_once_are_all_kept(files: Records) -> None:
    await files.add({"id": "a", "n": 0}, purpose="old")
    await asyncio.gather(*(files.change("a", lambda d: {**d, "n": d["n"] + 1}, purpose="new") for _ in range(32)))
    assert await files.get("a", where=[Where("purpose", "=", "new")]) == {"id": "a", "n": 32}


async def test_a_change_that_fails_changes_nothing(files: Records) -> None:
    def refused(data: dict[str, Any]) -> dict[str, Any]:
        data["n"] = 1
        raise InvalidRequest("no")

    await files.add({"id": "a", "n": 0})
    with pytest.raises(InvalidRequest):
        await files.change("a", refused)
    assert await files.change("a", lambda d: {**d, "m": 2}) == {"id": "a", "n": 0, "m": 2}


async def test_changes_leave_nothing_in_memory(files: Records) -> None:
    await files.add_all([{"id": str(i)} for i in range(50)])
    await asyncio.gather(*(files.change(str(i % 50), dict) for i in range(100)))
    with pytest.raises(NotFound):
        await files.change("nowhere", dict)
    assert len(files._locks) == 0


CHANGER = """
import asyncio, json, sys
from stack_core.storage.backends import Backends
from stack_core.storage.records import Records

async def main():
    async with Backends({"it": json.loads(sys.argv[1])}) as backends:
        files = Records(backends.sql("it"), "files", "file")
        await files.find("a")
        sys.stdin.readline()
        await asyncio.gather(*(files.change("a", lambda d: {**d, "n": d["n"] + 1}) for _ in range(60)))
        await files.add_all([{"id": f"{sys.argv[2]}{i}"} for i in range(60)])

asyncio.run(main())
"""


@pytest.mark.slow
async def test_changes_of_three_processes_are_all_kept(settings: Settings) -> None:
    async with Backends({"it": settings}) as backends:
        files = Records(backends.sql("it"), "files", "file")
        await files.add({"id": "a", "n": 0})
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", CHANGER, json.dumps(settings), name, stdin=subprocess.PIPE
            )
            for name in "xyz"
        ]
        await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        assert [process.returncode for process in processes] == [0, 0, 0]
        assert (await files.get("a"))["n"] == 180
        assert len((await files.page(limit=None)).data) == 181


async def test_a_table_without_revisions_gains_them(sql: Sql) -> None:
    columns = (
        Column("id", "text", primary=True),
        Column("position", "integer", nullable=False),
        Column("owner", "text"),
        Column("data", "json", nullable=False),
    )
    await sql.ensure(Table("files", columns, (("position",),)))
    await sql.insert("files", [{"id": "a", "position": 1, "data": {"id": "a"}}])
    files = Records(sql, "files", "file")
    assert await files.change("a", lambda d: {**d, "n": 1}) == {"id": "a", "n": 1}
    assert await files.change("a", lambda d: {**d, "n": d["n"] + 1}) == {"id": "a", "n": 2}


async def test_remove_one_and_all(files: Records) -> None:
    await make(files, "ab", purpose="batch")
    await make(files, "c", purpose="user")
    await files.remove("a")
    with pytest.raises(NotFound):
        await files.remove("a")
    assert await files.remove_all([Where("purpose", "=", "batch")]) == 1
    assert ids(await files.page()) == "c"
