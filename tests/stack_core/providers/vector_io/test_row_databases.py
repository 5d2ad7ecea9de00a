"""Chroma, Qdrant and Milvus where things go wrong, and what all databases of rows share."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stack_core.apis.vector_io import Combination, Comparison, Entry, VectorIndex
from stack_core.errors import ConfigError, InvalidRequest, ProviderUnavailable, StoreUnavailable, UnknownId
from stack_core.providers._registry import find
from stack_core.providers.vector_io._narrow import Joined, OneOf, Within, fields, narrowed
from stack_core.providers.vector_io._ranking import bm25
from stack_core.providers.vector_io._rows import table_of


def made(type_id: str, **config: Any) -> Any:
    spec = find("vector_io", type_id)
    return spec.factory(spec.config.model_validate(config), "db")


class TestNarrowed:
    def test_what_fields_can_tell(self) -> None:
        own = fields({"a": 1, "b": "x"})
        assert len(own) == 3 and own == fields({"b": "x", "a": 1.0})
        assert isinstance(narrowed(Comparison("eq", "a", 1)), OneOf)
        above = narrowed(Comparison("gt", "a", 1))
        assert isinstance(above, Within) and above.field in own and 0.99 < (above.low or 0) < 1 and above.high is None
        assert narrowed(None) is True

    def test_conditions_that_need_no_asking(self) -> None:
        assert narrowed(Comparison("in", "a", [])) is False
        assert narrowed(Comparison("nin", "a", [])) is True
        assert narrowed(Comparison("gt", "a", True)) is False
        assert narrowed(Comparison("gt", "a", "text")) is True
        one = Comparison("eq", "a", 1)
        assert narrowed(Combination("and", (one, Comparison("gt", "a", "t")))) == narrowed(one)
        assert narrowed(Combination("or", (one, Comparison("gt", "a", "t")))) is True
        assert narrowed(Combination("and", ())) is True and narrowed(Combination("or", ())) is False
        assert isinstance(narrowed(Combination("or", (one, Comparison("ne", "b", 2)))), Joined)


class TestNames:
    def test_names_of_any_text(self) -> None:
        names = ["c", "C", "c/d", "č", "vs_1-2", "_", "a b"]
        tables = [table_of(name) for name in names]
        assert len(set(tables)) == len(names)
        assert all(table.isascii() and table.islower() and table[-1].isalnum() for table in tables)

    @pytest.mark.parametrize("name", ["", "x" * 300, "\ud83d"])
    def test_names_that_no_database_takes(self, name: str) -> None:
        with pytest.raises(InvalidRequest):
            table_of(name)


def test_bm25_prefers_rare_words_and_short_texts() -> None:
    scores = bm25(["fox", "a"], ["a fox", "a dog", "a fox and " + "a dog " * 50, "none"], 100)
    assert scores[0] > scores[2] > 0 and scores[0] > scores[1] > 0 and scores[3] == 0


KILLED = """
import asyncio, json, os, signal, sys
from stack_core.apis.vector_io import Entry
from stack_core.providers._registry import find

async def main():
    spec = find("vector_io", sys.argv[1])
    async with spec.factory(spec.config.model_validate(json.loads(sys.argv[2])), "db") as index:
        await index.create("c", 2)
        await index.put("c", [Entry("a", "text", [1.0, 0.0]), Entry("b", "text", [1.0, 1.0])])
        await index.remove("c", ["a"])
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def fields_that_go_with_their_entry(index: VectorIndex) -> None:
    await index.create("c", 2)
    await index.put("c", [Entry("a", "text", [1.0, 0.0], {"old": 1, "kept": "x"})])
    await index.put("c", [Entry("a", "text", [1.0, 0.0], {"kept": "y"})])
    for where in (Comparison("ne", "old", 1), Comparison("nin", "kept", ["x"])):
        assert [hit.id for hit in await index.nearest("c", [1, 0], 5, where)] == ["a"]


@pytest.mark.slow
class TestFolders:
    @pytest.mark.parametrize(
        ("type_id", "package", "field"),
        [
            ("inline::chromadb", "chromadb", "db_path"),
            ("inline::qdrant", "qdrant_client", "path"),
            ("inline::milvus", "milvus_lite", "db_path"),
        ],
    )
    async def test_used_and_closed(self, type_id: str, package: str, field: str, tmp_path: Path) -> None:
        pytest.importorskip(package)
        async with made(type_id, **{field: str(tmp_path / "a.db")}) as index:
            await fields_that_go_with_their_entry(index)
            with pytest.raises(UnknownId) as told:
                await index.entries("ç")
            assert told.value.nearest == []
        with pytest.raises(ProviderUnavailable, match="closed"):
            await index.entries("c")

        (tmp_path / "file").write_text("")
        async with made(type_id, **{field: str(tmp_path / "file" / "a.db")}) as index:
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="cannot be used"):
                    await index.entries("c")
        with pytest.raises(ConfigError):
            made(type_id, **{field: ""})

    @pytest.mark.parametrize(
        ("type_id", "package", "field"),
        [
            ("inline::chromadb", "chromadb", "db_path"),
            ("inline::qdrant", "qdrant_client", "path"),
            ("inline::milvus", "milvus_lite", "db_path"),
        ],
    )
    async def test_what_a_killed_program_wrote(self, type_id: str, package: str, field: str, tmp_path: Path) -> None:
        pytest.importorskip(package)
        config = {field: str(tmp_path / "a.db")}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", KILLED, type_id, json.dumps(config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        async with made(type_id, **config) as index:
            assert [found.id for found in await index.entries("c")] == ["b"]
            assert [hit.id for hit in await index.nearest("c", [1, 0], 5)] == ["b"]

    async def test_a_folder_of_qdrant_is_of_one_process(self, tmp_path: Path) -> None:
        pytest.importorskip("qdrant_client")
        async with (
            made("inline::qdrant", path=str(tmp_path)) as first,
            made("inline::qdrant", path=str(tmp_path)) as other,
        ):
            await first.create("c", 2)
            with pytest.raises(StoreUnavailable, match="already accessed") as told:
                await other.entries("c")
            assert "one process" in (told.value.hint or "")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "field"), [("chromadb", "url"), ("milvus", "uri")])
class TestServers:
    async def test_a_server_that_stops_and_starts(self, kind: str, field: str, request: pytest.FixtureRequest) -> None:
        server = request.getfixturevalue(f"{kind}_server")
        async with made(f"remote::{kind}", **{field: server.url}) as index:
            await index.drop("c")
            await fields_that_go_with_their_entry(index)
            server.stop()
            try:
                for _ in range(2):
                    with pytest.raises(ProviderUnavailable, match="cannot be used") as told:
                        await index.nearest("c", [1, 0], 1)
                    assert told.value.status == 503 and told.value.provider_id == "db" and told.value.hint
            finally:
                server.start()
            assert [hit.id for hit in await index.nearest("c", [1, 0], 1)] == ["a"]
            await index.drop("c")

    async def test_processes_see_each_other(self, kind: str, field: str, request: pytest.FixtureRequest) -> None:
        config = {field: request.getfixturevalue(f"{kind}_server").url}
        async with made(f"remote::{kind}", **config) as one, made(f"remote::{kind}", **config) as other:
            await one.drop("c")
            await one.create("c", 2)
            await one.put("c", [Entry("a", "apple", [1.0, 0.0])])
            assert [hit.id for hit in await other.matching("c", "Apple", 3)] == ["a"]
            await other.drop("c")
            with pytest.raises(UnknownId):
                await one.entries("c")

    async def test_nobody_there(self, kind: str, field: str, request: pytest.FixtureRequest) -> None:
        pytest.importorskip("pymilvus" if kind == "milvus" else kind)
        secret = {"token": "hidden"} if kind == "milvus" else {}
        async with made(f"remote::{kind}", **{field: "http://127.0.0.1:1"}, **secret) as index:
            with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1 cannot be used") as told:
                await index.entries("c")
            assert "hidden" not in f"{told.value.message} {told.value.hint}"

    @pytest.mark.parametrize("url", ["", "h/path?x", "http://user:hidden@h"])
    async def test_urls_that_are_none(self, kind: str, field: str, url: str) -> None:
        with pytest.raises(ConfigError) as told:
            made(f"remote::{kind}", **{field: url})
        assert "hidden" not in f"{told.value.message} {told.value.hint}"


def test_a_consistency_level_that_is_none() -> None:
    with pytest.raises(ConfigError, match="strong"):
        made("remote::milvus", consistency_level="strong")
