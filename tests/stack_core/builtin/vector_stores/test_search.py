"""Searching a store: modes, filters, fusion, reranking, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core.apis.vector_io import Hit
from stack_core.builtin.vector_stores.fusion import Fusion, best_of, by_nearness, by_words
from stack_core.errors import InvalidRequest, NotFound
from tests.stack_core.builtin.vector_stores.texts import CATS, FISH, zoo


async def names(stack: Any, store: str, query: Any, **more: Any) -> list[str]:
    """The files that a search finds, best first."""
    page = await stack.vector_stores.search(vector_store_id=store, query=query, **more)
    assert all(0 <= row.score <= 1 for row in page.data)
    assert [row.score for row in page.data] == sorted((row.score for row in page.data), reverse=True)
    return [row.filename.removesuffix(".txt") for row in page.data]


async def test_every_mode_finds_the_best_first(stack: Any) -> None:
    store, ids = await zoo(stack)
    assert (await names(stack, store, "cats purr"))[0] == "cats"
    assert (await names(stack, store, "bark", search_mode="keyword")) == ["dogs"]
    assert (await names(stack, store, "fish swim", search_mode="hybrid"))[0] == "fish"
    page = await stack.vector_stores.search(vector_store_id=store, query="fish swim sea", max_num_results=1)
    (row,) = page.data
    assert (page.object, page.search_query) == ("vector_store.search_results.page", ["fish swim sea"])
    assert (page.has_more, page.next_page) == (False, None)
    assert (row.file_id, row.content[0].text, row.content[0].type) == (ids["fish"], FISH, "text")
    assert row.attributes == {"kind": "fish", "legs": 0, "wet": True}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"type": "eq", "key": "kind", "value": "cats"}, {"cats"}),
        ({"type": "ne", "key": "kind", "value": "cats"}, {"dogs", "fish"}),
        ({"type": "gt", "key": "legs", "value": 0}, {"cats", "dogs"}),
        ({"type": "lte", "key": "legs", "value": 3.5}, {"fish"}),
        ({"type": "eq", "key": "wet", "value": True}, {"fish"}),
        ({"type": "in", "key": "kind", "value": ["cats", "fish"]}, {"cats", "fish"}),
        ({"type": "nin", "key": "kind", "value": ["cats", "fish"]}, {"dogs"}),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "kind", "value": "fish"},
                    {
                        "type": "and",
                        "filters": [
                            {"type": "gte", "key": "legs", "value": 4},
                            {"type": "lt", "key": "kind", "value": "d"},
                        ],
                    },
                ],
            },
            {"cats", "fish"},
        ),
        ({}, {"cats", "dogs", "fish"}),
    ],
)
async def test_filters(stack: Any, where: dict[str, Any], expected: set[str]) -> None:
    store, _ = await zoo(stack)
    for mode in ("vector", "hybrid"):
        assert set(await names(stack, store, "sleep house", filters=where, search_mode=mode)) == expected


async def test_several_queries_are_one_search(faiss: Any) -> None:
    store, _ = await zoo(faiss)
    page = await faiss.vector_stores.search(vector_store_id=store, query=["cats purr content", "fish swim sea"])
    assert page.search_query == ["cats purr content", "fish swim sea"]
    assert {row.filename for row in page.data[:2]} == {"cats.txt", "fish.txt"}
    assert len(page.data) == 3


async def test_a_threshold_leaves_out_what_scores_lower(faiss: Any) -> None:
    store, _ = await zoo(faiss)
    ranking = {"score_threshold": 0.99}
    assert await names(faiss, store, CATS, ranking_options=ranking) == ["cats"]
    assert await names(faiss, store, "nothing alike", ranking_options=ranking) == []


async def test_hybrid_searches_weigh_as_they_are_told(faiss: Any) -> None:
    store, _ = await zoo(faiss)
    query = "purr purr purr house guard"
    for ranking in (
        {"ranker": "rrf"},
        {"ranker": "rrf", "impact_factor": 1},
        {"ranker": "weighted", "alpha": 0.2},
        {"ranker": "weighted", "weights": {"vector": 3, "keyword": 1}},
        {"ranker": "normalized"},
        {"hybrid_search": {"embedding_weight": 0, "text_weight": 1}},
    ):
        found = await names(faiss, store, query, search_mode="hybrid", ranking_options=ranking)
        assert {"cats", "dogs"} <= set(found)
    near = await names(faiss, store, query, search_mode="hybrid", ranking_options={"ranker": "weighted", "alpha": 1.0})
    assert near[0] == (await names(faiss, store, query))[0]
    worded = await names(
        faiss, store, query, search_mode="hybrid", ranking_options={"ranker": "weighted", "alpha": 0.0}
    )
    assert worded[0] == (await names(faiss, store, query, search_mode="keyword"))[0]


async def test_a_rerank_model_orders_anew(faiss: Any) -> None:
    store, _ = await zoo(faiss)
    for ranking in ({"ranker": "w/shortest-first"}, {"ranker": "neural", "model": "w/shortest-first"}):
        assert await names(faiss, store, "sleep", ranking_options=ranking) == ["dogs", "fish", "cats"]
        assert await names(faiss, store, "sleep", ranking_options=ranking, max_num_results=1) == ["dogs"]
    with pytest.raises(NotFound, match="none"):
        await names(faiss, store, "sleep", ranking_options={"ranker": "w/none"})


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"rewrite_query": True}, "rewrite_query"),
        ({"max_num_results": 51}, "max_num_results"),
        ({"max_num_results": 0}, "max_num_results"),
        ({"search_mode": "near"}, "search_mode"),
        ({"query": []}, "query"),
        ({"filters": {"type": "like", "key": "a", "value": "b"}}, "filters"),
        ({"filters": {"type": "in", "key": "a", "value": "b"}}, "filters"),
        ({"filters": {"type": "and", "filters": []}}, "filters"),
        ({"ranking_options": {"ranker": "rrf"}}, "ranker"),
        ({"ranking_options": {"alpha": 0.5}}, "alpha"),
        ({"ranking_options": {"ranker": "neural"}}, "model"),
        ({"ranking_options": {"score_threshold": 2}}, "score_threshold"),
        ({"search_mode": "hybrid", "ranking_options": {"ranker": "weighted", "impact_factor": 1}}, "impact_factor"),
        ({"search_mode": "hybrid", "ranking_options": {"ranker": "rrf", "alpha": 0.5}}, "alpha"),
        (
            {"ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}},
            "hybrid_search",
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_name(faiss: Any, asked: dict[str, Any], named: str) -> None:
    store = (await faiss.vector_stores.create_vector_store(name="x")).id
    with pytest.raises(InvalidRequest, match=named):
        await faiss.vector_stores.search(**{"vector_store_id": store, "query": "x", **asked})


def hit(id: str, score: float) -> Hit:
    return Hit(id, id, score, {}, "")


def test_reciprocal_rank_fusion() -> None:
    near, worded = [hit("a", 0.9), hit("b", 0.5)], [hit("b", 7.0), hit("c", 2.0)]
    found = {one.hit.id: one.score for one in Fusion().join(near, worded)}
    assert found == pytest.approx({"a": 0.5, "b": 0.5 * 61 / 62 + 0.5, "c": 0.5 * 61 / 62})
    steep = {one.hit.id: one.score for one in Fusion(impact=1, nearness=3).join(near, worded)}
    assert steep == pytest.approx({"a": 0.75, "b": 0.75 * 2 / 3 + 0.25, "c": 0.25 * 2 / 3})


def test_weighted_fusion() -> None:
    near, worded = [hit("a", 0.9), hit("b", 0.5), hit("c", 0.1)], [hit("c", 8.0), hit("b", 2.0)]
    found = {one.hit.id: one.score for one in Fusion("weighted", 0.25, 0.75).join(near, worded)}
    assert found == pytest.approx({"a": 0.25, "b": 0.125, "c": 0.75})
    assert [one.score for one in Fusion("weighted").join([], [hit("a", 3.0)])] == [0.5]
    assert Fusion().join([], []) == []


def test_scores_are_from_0_to_1_and_the_best_counts() -> None:
    assert [one.score for one in by_nearness([hit("a", 1.01), hit("b", -0.5)])] == [1.0, 0.0]
    assert [one.score for one in by_words([hit("a", 3.0), hit("b", -0.1)])] == [0.75, 0.0]
    best = best_of([by_nearness([hit("a", 0.2), hit("b", 0.3)]), by_nearness([hit("a", 0.9)])])
    assert [(one.hit.id, one.score) for one in best] == [("a", 0.9), ("b", 0.3)]
