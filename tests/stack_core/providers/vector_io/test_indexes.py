"""The two indexes of this process where things go wrong: killed programs, damaged rows, lost files, two at once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stack_core.apis.vector_io import Comparison, Entry, VectorIndex
from stack_core.errors import Conflict, StoreUnavailable, UnknownId
from stack_core.providers._registry import find, types
from stack_core.stack import Stack
from stack_core.storage.kv import KeyValue
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sqlite import open_sqlite
from tests.contracts.test_vector_io import LOCAL


def entries(first: int, many: int = 10, **attributes: Any) -> list[Entry]:
    return [Entry(str(i), f"text {i}", [1.0, float(i), 0.0], attributes) for i in range(first, first + many)]


@asynccontextmanager
async def faiss(folder: Path) -> AsyncIterator[tuple[VectorIndex, KeyValue]]:
    spec = find("vector_io", "inline::faiss")
    async with open_sqlite(str(folder / "kv.db")) as sql:
        store = KeyValueTable(sql)
        yield spec.factory(spec.config(), store), store


def sqlite_vec(path: str | Path) -> Any:
    spec = find("vector_io", "inline::sqlite-vec")
    return spec.factory(spec.config.model_validate({"db_path": str(path)}))


class TestFaiss:
    async def test_a_damaged_row_stops_its_collection_alone(self, tmp_path: Path) -> None:
        async with faiss(tmp_path) as (index, store):
            for name in ("whole", "broken"):
                await index.create(name, 3)
                await index.put(name, entries(0))
            key, text = (await store.scan("log/"))[-1]
            await store.set(key, text[: len(text) // 2])
        async with faiss(tmp_path) as (index, _):
            told = {}
            for name in ("whole", "broken"):
                try:
                    told[name] = len(await index.nearest(name, [1, 0, 0], 99))
                except StoreUnavailable as error:
                    told["error"] = f"{error.message} {error.hint}"
                    await index.drop(name)
                    await index.create(name, 3)
                    assert await index.entries(name) == []
            assert list(told.values()).count(10) == 1
            assert "damaged" in told["error"] and key in told["error"]

    async def test_a_log_that_was_written_anew(self, tmp_path: Path) -> None:
        async with faiss(tmp_path) as (index, store):
            await index.create("c", 3)
            for turn in range(40):
                await index.put("c", entries(0, 60, turn=turn))
            await index.remove("c", ["7"])
            assert len(await store.scan("log/")) < 25
        async with faiss(tmp_path) as (index, _):
            assert {e.attributes["turn"] for e in await index.entries("c")} == {39}
            assert len(await index.nearest("c", [1, 1, 1], 99)) == 59

    async def test_written_anew_only_in_part(self, tmp_path: Path) -> None:
        """As a program leaves it that is killed after the new rows, before the old ones are gone."""
        async with faiss(tmp_path) as (index, store):
            await index.create("c", 3)
            await index.put("c", entries(0, 1200))
            await index.put("c", entries(0, 1))
            await index.remove("c", [str(i) for i in range(1, 1100)])
            old = dict(await store.scan("log/"))
            await index.remove("c", [str(i) for i in range(1100, 1190)])
            for key, text in old.items():
                if key.endswith("remove"):
                    await store.set(key, text)
        async with faiss(tmp_path) as (index, _):
            assert {e.id for e in await index.entries("c")} == {"0", *(str(i) for i in range(1190, 1200))}

    async def test_a_put_that_is_cancelled_is_whole_or_nothing(self, tmp_path: Path) -> None:
        async with faiss(tmp_path) as (index, _):
            await index.create("c", 3)
            tasks = [asyncio.create_task(index.put("c", entries(10 * i))) for i in range(20)]
            await asyncio.sleep(0)
            await tasks[0]
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await index.put("c", entries(1000, 1))
            seen = await index.entries("c")
        async with faiss(tmp_path) as (index, _):
            assert await index.entries("c") == seen
            assert len(seen) % 10 == 1

    async def test_dropped_while_a_put_waits(self, tmp_path: Path) -> None:
        async with faiss(tmp_path) as (index, store):
            await index.create("c", 3)
            await index.put("c", entries(0))
            await asyncio.gather(
                index.drop("c"), *(index.put("c", entries(i)) for i in range(20)), return_exceptions=True
            )
            with pytest.raises(UnknownId):
                await index.nearest("c", [1, 0, 0], 1)
            assert await store.scan("log/") == []

    async def test_of_a_later_version(self, tmp_path: Path) -> None:
        async with faiss(tmp_path) as (index, store):
            await store.set("collection/c", '{"version": 2, "dimension": 3, "log": "log/x/"}')
            with pytest.raises(StoreUnavailable, match="later version"):
                await index.entries("c")


class TestSqliteVec:
    async def test_two_at_once_see_each_other(self, tmp_path: Path) -> None:
        async with sqlite_vec(tmp_path / "v.db") as one, sqlite_vec(tmp_path / "v.db") as two:
            await asyncio.gather(one.create("c", 3), two.create("c", 3))
            await asyncio.gather(*((one, two)[i % 2].put("c", entries(10 * i)) for i in range(20)))
            for index in (one, two):
                assert len(await index.nearest("c", [1, 0, 0], 999)) == 200
            await two.drop("c")
            await two.create("c", 2)
            with pytest.raises(Conflict):
                await one.create("c", 3)

    async def test_one_bad_write_leaves_its_group_alone(self, tmp_path: Path) -> None:
        async with sqlite_vec(tmp_path / "v.db") as index:
            await index.create("c", 3)
            bad = [Entry("x", "", [1.0])]
            done = await asyncio.gather(
                *(index.put("c", bad if i == 5 else entries(10 * i)) for i in range(10)), return_exceptions=True
            )
            assert [type(error).__name__ for error in done if error] == ["InvalidRequest"]
            assert len(await index.entries("c")) == 90

    async def test_more_than_the_index_gives(self, tmp_path: Path) -> None:
        async with sqlite_vec(tmp_path / "v.db") as index:
            await index.create("c", 3)
            await index.put("c", [Entry(str(i), "", [1.0, i, 0.0], {"n": i % 2}) for i in range(5000)])
            hits = await index.nearest("c", [1, 0, 0], 4500)
            assert [hit.id for hit in hits] == [str(i) for i in range(4500)]
            assert len(await index.nearest("c", [1, 0, 0], 4500, Comparison("eq", "n", 1))) == 2500

    async def test_no_file_to_write(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("this is no database, " * 100)
        for path, says in (
            (tmp_path, "is a folder"),
            (tmp_path / "text", "no SQLite file"),
            (tmp_path / "text" / "v.db", "cannot be opened"),
            ("/proc/v.db", "cannot be opened"),
        ):
            async with sqlite_vec(path) as index:
                for _ in range(2):
                    with pytest.raises(StoreUnavailable, match=says):
                        await index.create("c", 3)

    async def test_a_file_that_goes_away_and_comes_back(self, tmp_path: Path) -> None:
        path, kept = tmp_path / "v.db", tmp_path / "kept.db"
        async with sqlite_vec(path) as index:
            await index.create("c", 3)
            await index.put("c", entries(0))
        async with sqlite_vec(path) as index:
            path.rename(kept)
            with pytest.raises((StoreUnavailable, UnknownId)):
                await index.put("c", entries(10))
            path.unlink(missing_ok=True)
            kept.rename(path)
            with pytest.raises(StoreUnavailable):
                await index.entries("c")
            assert len(await index.entries("c")) == 10

    async def test_a_damaged_row(self, tmp_path: Path) -> None:
        import apsw

        async with sqlite_vec(tmp_path / "v.db") as index:
            await index.create("c", 3)
            await index.put("c", entries(0))
            with apsw.Connection(str(tmp_path / "v.db")) as connection:
                connection.execute("UPDATE stack_entries_1 SET attributes = '{' WHERE number = 3")
            with pytest.raises(StoreUnavailable, match="damaged"):
                await index.nearest("c", [1, 0, 0], 99)
            await index.remove("c", ["2"])
            assert len(await index.nearest("c", [1, 0, 0], 99)) == 9

    async def test_memory(self) -> None:
        async with sqlite_vec(":memory:") as index:
            await index.create("c", 3)
            await index.put("c", entries(0))
            assert len(await index.nearest("c", [1, 0, 0], 99)) == 10


WRITER = """
import asyncio, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.contracts.test_vector_io import LOCAL
from stack_core.apis.vector_io import Entry

async def main():
    async with LOCAL[{name!r}](Path({folder!r})) as index:
        await index.create("c", 3)
        for batch in range(100000):
            await index.put("c", [Entry(f"{{batch}}-{{i}}", "word", [1.0, i, batch]) for i in range(100)])
            print(batch, flush=True)

asyncio.run(main())
"""


def killed(name: str, folder: Path) -> int:
    """Kill a program that puts batches of 100 and prints a number for each that returned; gives how many it said."""
    root = str(Path(__file__).parents[4])
    code = WRITER.format(root=root, name=name, folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if int(line) == 20:
                program.send_signal(signal.SIGKILL)
                break
        return 1 + max([20, *(int(line) for line in program.stdout if line.endswith("\n"))])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["builtin", "faiss", "sqlite-vec"])
async def test_nothing_acknowledged_is_lost_by_a_kill(name: str, tmp_path: Path) -> None:
    said = killed(name, tmp_path)
    async with LOCAL[name](tmp_path) as index:
        found = await index.entries("c")
        assert len(found) % 100 == 0 and len(found) >= 100 * said
        assert len(await index.matching("c", "word", 100_000)) == len(found)
        assert len(await index.nearest("c", [1, 1, 1], 100_000)) == len(found)


async def test_in_a_run_file(tmp_path: Path) -> None:
    """Under their types, the older names too, with the configs of Llama Stack 0.3.5's run files."""
    persistence = {"namespace": "vector_io::x", "backend": "kv_default"}
    config: dict[str, dict[str, Any]] = {
        "inline::faiss": {"persistence": persistence},
        "inline::meta-reference": {"persistence": {**persistence, "namespace": "other"}},
        "inline::sqlite-vec": {"db_path": str(tmp_path / "a.db"), "persistence": persistence},
        "inline::sqlite_vec": {"db_path": str(tmp_path / "b.db"), "persistence": persistence},
    }
    assert set(config) <= types("vector_io")
    rows = [{"provider_id": kind[8:], "provider_type": kind, "config": config[kind]} for kind in config]
    storage = {"backends": {"kv_default": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")}}}
    async with Stack.open({"name": "t", "providers": {"vector_io": rows}, "storage": storage}) as stack:
        for provider in (await stack.providers.list_providers()).data:
            if provider.api == "vector_io":
                assert provider.health.status != "Unavailable", provider
