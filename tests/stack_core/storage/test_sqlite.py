"""What is particular to SQLite files: durability, other processes, bad files, versions, sharing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stack_core.errors import ConfigError, StackError, StoreUnavailable
from stack_core.storage import _sqlite_file, _sqlite_open
from stack_core.storage.sql import Column, Table, Where
from stack_core.storage.sqlite import open_sqlite

ROWS = Table("rows", (Column("id", "text", primary=True), Column("value", "text")))

WRITER = """
import asyncio, sys
from stack_core.storage.sql import Column, Table
from stack_core.storage.sqlite import open_sqlite
ROWS = Table("rows", (Column("id", "text", primary=True), Column("value", "text")))

async def main(path, name, count):
    async with open_sqlite(path) as sql:
        await sql.ensure(ROWS)
        left = iter(range(count))
        async def caller():
            for i in left:
                await sql.insert("rows", [{"id": f"{name}{i}", "value": "x" * 500}])
                print(f"{name}{i}", flush=True)
        await asyncio.gather(*(caller() for _ in range(32)))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def start_writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


async def ids(path: Path) -> set[str]:
    async with open_sqlite(str(path)) as sql:
        await sql.ensure(ROWS)
        return {row["id"] for row in await sql.select("rows")}


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    process = start_writer(path, "a", 1_000_000)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(300)]
    process.kill()
    told += [line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    assert len(told) >= 300
    assert set(told) <= await ids(path)


async def test_two_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    processes = [start_writer(path, name, 400) for name in "ab"]
    outputs = await asyncio.gather(*(asyncio.to_thread(p.communicate) for p in processes))
    assert [p.returncode for p in processes] == [0, 0]
    told = {line for out, _ in outputs for line in out.split()}
    assert len(told) == 800
    assert told == await ids(path)


async def test_a_process_that_does_not_close_still_writes_what_was_enqueued(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    code = WRITER.split("async def main", maxsplit=1)[0] + (
        "from stack_core.storage.sqlite import SqliteSql, opened\n"
        "async def main():\n"
        "    sql = SqliteSql(opened(sys.argv[1], 'normal'))\n"
        "    await sql.ensure(ROWS)\n"
        "    for i in range(500): sql.enqueue('rows', [{'id': str(i)}])\n"
        "asyncio.run(main())\n"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(path)], check=True)
    assert len(await ids(path)) == 500


async def test_a_group_is_one_commit(tmp_path: Path) -> None:
    """100 calls at once, while the writer is held up, end in one transaction: one commit frame in the log."""
    path = tmp_path / "s.db"
    async with open_sqlite(str(path)) as sql:
        await sql.ensure(ROWS)
        hold = threading.Event()
        first = asyncio.ensure_future(sql._file.write(lambda _: hold.wait(10)))
        calls = [asyncio.ensure_future(sql.insert("rows", [{"id": str(i)}])) for i in range(100)]
        await asyncio.sleep(0)  # let every call queue up
        before = commits(path)
        hold.set()
        await asyncio.gather(first, *calls)
        assert len(await sql.select("rows")) == 100
        assert commits(path) == before + 1


def commits(path: Path) -> int:
    """Commit frames in the write-ahead log: those whose header gives the size of the database."""
    log = Path(f"{path}-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    return sum(log[i + 4 : i + 8] != b"\0\0\0\0" for i in range(32, len(log), page + 24))


async def test_a_cancelled_caller_does_not_hurt_the_others(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        await sql.ensure(ROWS)
        calls = [asyncio.ensure_future(sql.insert("rows", [{"id": str(i)}])) for i in range(10)]
        await asyncio.sleep(0)
        calls[3].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(r) for r in done].count(type(None)) == 9
        await sql.flush()
        assert len(await sql.select("rows")) == 10


def store_threads() -> set[int | None]:
    """The threads of every store that is open: stacks of other tests' fixtures may be."""
    return {thread.ident for thread in threading.enumerate() if thread.name.startswith("stack-store")}


async def test_one_file_has_one_writer_whoever_opens_it(tmp_path: Path) -> None:
    path, before = tmp_path / "s.db", store_threads()
    (tmp_path / "link.db").symlink_to(path)
    async with open_sqlite(str(path)) as one:
        async with open_sqlite(str(tmp_path / "link.db")) as two:
            assert one._file is two._file
            await two.ensure(ROWS)
        await one.insert("rows", [{"id": "still open"}])
        await asyncio.gather(*(one.select("rows") for _ in range(4)))
        with pytest.raises(ConfigError, match="synchronous"):
            async with open_sqlite(str(path), synchronous="full"):
                pass
    assert store_threads() == before
    assert sorted(os.listdir(tmp_path)) == ["link.db", "s.db"]


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        await sql.ensure(ROWS)
    with pytest.raises(StoreUnavailable, match="closed"):
        await sql.insert("rows", [{"id": "a"}])
    with pytest.raises(StoreUnavailable, match="closed"):
        await sql.select("rows")
    assert sql.enqueue("rows", [{"id": "a"}]) is False


async def test_the_queue_of_unwaited_rows_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_file, "MOST_UNWAITED", 10)
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        await sql.ensure(ROWS)
        hold = threading.Event()
        blocked = asyncio.ensure_future(sql._file.write(lambda _: hold.wait(10)))
        await asyncio.sleep(0)
        taken = [sql.enqueue("rows", [{"id": str(i)}]) for i in range(12)]
        assert taken == [True] * 10 + [False] * 2
        hold.set()
        await blocked
        await sql.flush()
        assert sql.enqueue("rows", [{"id": "room again"}])


async def test_an_unwaited_row_that_fails_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strict = Table("strict", (Column("id", "text", primary=True), Column("value", "text", nullable=False)))
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        await sql.ensure(strict)
        with caplog.at_level(logging.WARNING, "stack_core"):
            sql.enqueue("strict", [{"id": "a"}])
            await sql.flush()
    assert "1 rows were not stored" in caplog.text


# ---- files that cannot be used --------------------------------------------------------------------------------------


async def failure(path: Path | str) -> StoreUnavailable:
    before = store_threads()
    with pytest.raises(StoreUnavailable) as caught:
        async with open_sqlite(str(path)):
            pass
    assert caught.value.hint
    assert store_threads() == before
    return caught.value


async def test_a_folder_as_path(tmp_path: Path) -> None:
    error = await failure(tmp_path)
    assert str(tmp_path) in error.message
    assert "folder" in error.message


async def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    error = await failure(tmp_path / "file" / "sub" / "s.db")
    assert str(tmp_path / "file") in error.message
    assert os.listdir(tmp_path) == ["file"]


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"certainly no database, but longer than a header of one hundred bytes " * 20)
    before = path.read_bytes()
    error = await failure(path)
    assert "damaged" in error.message
    assert str(path) in error.message
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.db"]


async def test_a_damaged_page_is_reported_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with open_sqlite(str(path)) as sql:
        await sql.ensure(ROWS)
        await sql.insert("rows", [{"id": str(i), "value": "v" * 900} for i in range(200)])
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreUnavailable, match="damaged"):
        async with open_sqlite(str(path)) as sql:
            await sql.ensure(ROWS)
            await sql.select("rows")


async def test_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    monkeypatch.setattr(_sqlite_open, "BUSY_SECONDS", 0.1)
    async with open_sqlite(str(path)) as sql:
        await sql.ensure(ROWS)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await sql.insert("rows", [{"id": "a"}])
        assert await sql.select("rows") == []
        other.execute("ROLLBACK")
        other.close()
        await sql.insert("rows", [{"id": "a"}])


async def test_a_full_disk_fails_the_write_and_the_store_goes_on(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "s.db")) as sql:
        await sql.ensure(ROWS)
        await sql._file.write(lambda c: c.execute("PRAGMA max_page_count = 20").fetchone())
        with pytest.raises(StoreUnavailable, match="no room"):
            await sql.insert("rows", [{"id": "big", "value": "x" * 200_000}])
        await sql.insert("rows", [{"id": "small"}])
        assert [r["id"] for r in await sql.select("rows")] == ["small"]


async def test_folders_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    async with open_sqlite(str(tmp_path / "a" / "b" / "s.db")):
        pass
    assert {stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a", "a/b")} == {0o700}


async def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with open_sqlite("~/x/s.db"):
        pass
    assert (tmp_path / "x" / "s.db").is_file()


# ---- versions of a table --------------------------------------------------------------------------------------------

SECOND = Table(
    "rows",
    (*ROWS.columns, Column("extra", "json"), Column("third", "integer")),
    indexes=(("third",),),
    version=3,
    migrations=((Column("extra", "json"),), (Column("third", "integer"),)),
)


async def test_an_older_table_gains_its_columns(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    async with open_sqlite(path) as sql:
        await sql.ensure(ROWS)
        await sql.insert("rows", [{"id": "old", "value": "v"}])
    async with open_sqlite(path) as sql:
        await sql.ensure(SECOND)
        await sql.insert("rows", [{"id": "new", "extra": {"a": 1}, "third": 3}])
        assert await sql.select("rows", [Where("id", "=", "old")]) == [
            {"id": "old", "value": "v", "extra": None, "third": None}
        ]
        assert (await sql.select("rows", [Where("third", "=", 3)]))[0]["extra"] == {"a": 1}


async def test_a_newer_table_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    async with open_sqlite(path) as sql:
        await sql.ensure(SECOND)
        await sql.insert("rows", [{"id": "new", "third": 3}])
    async with open_sqlite(path) as sql:
        with pytest.raises(StoreUnavailable, match="version 3") as caught:
            await sql.ensure(ROWS)
        assert path in caught.value.message
        await sql.ensure(SECOND)
        assert (await sql.select("rows"))[0]["third"] == 3


async def test_a_table_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (something TEXT)")
    connection.commit()
    connection.close()
    async with open_sqlite(str(path)) as sql:
        with pytest.raises(StoreUnavailable, match="another program"):
            await sql.ensure(ROWS)


@pytest.mark.parametrize("name", ["a; DROP TABLE rows", 'a"b', "", "1a", "sqlite_x", "é", "a" * 64])
async def test_a_name_that_is_no_identifier_is_refused(name: str, tmp_path: Path) -> None:
    async with open_sqlite(":memory:") as sql:
        with pytest.raises(ConfigError):
            await sql.ensure(Table(name, ROWS.columns))
        with pytest.raises(ConfigError):
            await sql.ensure(Table("t", (Column(name, "text"),)))


async def test_a_fault_in_our_own_work_reaches_its_caller(tmp_path: Path) -> None:
    def work(_: sqlite3.Connection) -> None:
        raise KeyError("ours")

    async with open_sqlite(":memory:") as sql:
        with pytest.raises(KeyError):
            await sql._file.write(work)
        await sql.ensure(ROWS)
        await sql.insert("rows", [{"id": "goes on"}])


async def test_errors_are_of_our_tree_alone(tmp_path: Path) -> None:
    async with open_sqlite(":memory:") as sql:
        await sql.ensure(ROWS)
        with pytest.raises(StackError):
            await sql.insert("rows", [{"id": json}])
