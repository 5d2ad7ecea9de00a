"""Chroma and Qdrant where things go wrong, and what all databases of rows share."""

from __future__ import annotations

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
        [("inline::chromadb", "chromadb", "db_path"), ("inline::qdrant", "qdrant_client", "path")],
    )
    async def test_used_and_closed(self, type_id: str, package: str, field: str, tmp_path: Path) -> None:
        pytest.importorskip(package)
        async with made(type_id, **{field: str(tmp_path / "db")}) as index:
            await fields_that_go_with_their_entry(index)
            with pytest.raises(UnknownId) as told:
                await index.entries("ç")
            assert told.value.nearest == []
        with pytest.raises(ProviderUnavailable, match="closed"):
            await index.entries("c")

        (tmp_path / "file").write_text("")
        async with made(type_id, **{field: str(tmp_path / "file" / "db")}) as index:
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="cannot be used"):
                    await index.entries("c")
        with pytest.raises(ConfigError):
            made(type_id, **{field: ""})

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
class TestChromaServer:
    async def test_a_server_that_stops_and_starts(self, chromadb_server: Any) -> None:
        async with made("remote::chromadb", url=chromadb_server.url) as index:
            await index.drop("c")
            await fields_that_go_with_their_entry(index)
            chromadb_server.stop()
            try:
                for _ in range(2):
                    with pytest.raises(ProviderUnavailable, match="cannot be used") as told:
                        await index.nearest("c", [1, 0], 1)
                    assert told.value.status == 503 and told.value.provider_id == "db" and told.value.hint
            finally:
                chromadb_server.start()
            assert [hit.id for hit in await index.nearest("c", [1, 0], 1)] == ["a"]
            await index.drop("c")

    async def test_processes_see_each_other(self, chromadb_server: Any) -> None:
        async with made("remote::chromadb", url=chromadb_server.url) as one:
            async with made("remote::chromadb", url=chromadb_server.url) as other:
                await one.drop("c")
                await one.create("c", 2)
                await one.put("c", [Entry("a", "apple", [1.0, 0.0])])
                assert [hit.id for hit in await other.matching("c", "Apple", 3)] == ["a"]
                await other.drop("c")
                with pytest.raises(UnknownId):
                    await one.entries("c")

    async def test_nobody_there(self) -> None:
        pytest.importorskip("chromadb")
        async with made("remote::chromadb", url="http://127.0.0.1:1") as index:
            with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1 cannot be used"):
                await index.entries("c")

    @pytest.mark.parametrize("url", ["", "ftp://h", "http://h/path", "http://user:hidden@h", "http://h:port"])
    def test_urls_that_are_none(self, url: str) -> None:
        with pytest.raises(ConfigError) as told:
            made("remote::chromadb", url=url)
        assert "hidden" not in f"{told.value.message} {told.value.hint}"
