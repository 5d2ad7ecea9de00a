"""Finding in a store: by nearness, by words or by both, and ordered anew by a rerank model where one is named."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stack_core.apis.vector_io import Filter, Hit, Ranker, VectorIndex
from stack_core.apis.vector_stores import RankingOptions, SearchMode, SearchRequest
from stack_core.builtin._ground import Ground
from stack_core.builtin.vector_stores.books import Store
from stack_core.builtin.vector_stores.fusion import (
    IMPACT,
    Found,
    Fusion,
    best_of,
    by_nearness,
    by_words,
    ranked,
)
from stack_core.builtin.vector_stores.indexes import Indexes
from stack_core.errors import InvalidRequest

ORDINARY = frozenset({"auto", "none", "default-2024-11-15"})
FUSIONS = frozenset({"rrf", "weighted", "normalized"})
WIDER, LEAST, MOST = 4, 20, 200
"""Before hits are joined or ordered anew, so many times more are looked for, within these bounds."""


@dataclass(frozen=True)
class Question:
    """What is looked for and how."""

    texts: tuple[str, ...]
    most: int
    mode: SearchMode = "vector"
    where: Filter | None = None
    fusion: Fusion = field(default_factory=Fusion)
    reranker: str | None = None
    threshold: float = 0.0


async def find(ground: Ground, indexes: Indexes, store: Store, asked: Question) -> list[Found]:
    """The best entries of a store.

    Raises:
        Unsupported: the store's index cannot search words.
        InvalidRequest: the store's model is gone.
    """
    index = await indexes.of(store)
    most = asked.most
    if asked.mode == "hybrid" or asked.reranker is not None:
        most = min(MOST, max(LEAST, WIDER * most))
    vectors: Sequence[Sequence[float]] = [()] * len(asked.texts)
    if asked.mode != "keyword":
        vectors = await indexes.embed(store, asked.texts)
    one = _Search(index, store.id, asked, most)
    if len(asked.texts) == 1:
        found = await one.run(asked.texts[0], vectors[0])
    else:
        pairs = zip(asked.texts, vectors, strict=True)
        found = best_of(await asyncio.gather(*(one.run(text, vector) for text, vector in pairs)))
    if asked.reranker is not None:
        found = await _reranked(ground, asked, found)
    return [one for one in found if one.score >= asked.threshold][: asked.most]


@dataclass(frozen=True)
class _Search:
    """One question to one collection."""

    index: VectorIndex
    collection: str
    asked: Question
    most: int

    async def run(self, text: str, vector: Sequence[float]) -> list[Found]:
        """What one of the question's texts finds."""
        if self.asked.mode == "vector":
            return by_nearness(await self._near(vector))
        if self.asked.mode == "keyword":
            return by_words(await self._worded(text))
        return self.asked.fusion.join(*await asyncio.gather(self._near(vector), self._worded(text)))

    async def _near(self, vector: Sequence[float]) -> list[Hit]:
        return await self.index.nearest(self.collection, vector, self.most, self.asked.where)

    async def _worded(self, text: str) -> list[Hit]:
        return await self.index.matching(self.collection, text, self.most, self.asked.where)


async def _reranked(ground: Ground, asked: Question, found: Sequence[Found]) -> list[Found]:
    """Ordered by a model. A model whose scores leave 0 to 1 gives logits, which the logistic function brings there."""
    if not found:
        return []
    answer = await ground.bound("inference").rerank(
        model=asked.reranker, query="\n".join(asked.texts), items=[one.hit.text for one in found]
    )
    scores = {row.index: row.relevance_score for row in answer.data}
    if any(not 0 <= score <= 1 for score in scores.values()):
        scores = {place: 1 / (1 + math.exp(-max(-500.0, min(500.0, score)))) for place, score in scores.items()}
    return ranked([Found(found[place].hit, score) for place, score in scores.items() if place < len(found)])


def question(request: SearchRequest, where: Filter | None) -> Question:
    """A vector store's search.

    Raises:
        InvalidRequest: `rewrite_query`, or an option that the search's mode or ranker does not have.
    """
    if request.rewrite_query:
        raise InvalidRequest("rewrite_query is not available here", "leave it out, and rewrite the query with a model")
    texts = (request.query,) if isinstance(request.query, str) else tuple(request.query)
    if (ranking := request.ranking_options) is None:
        return Question(texts, request.max_num_results, request.search_mode or "vector", where)
    mode = request.search_mode or ("hybrid" if ranking.hybrid_search else "vector")
    ranker = ranking.ranker or "auto"
    known = ranker in ORDINARY | FUSIONS or ranker == "neural"
    reranker = ranking.model or (None if known else ranker)
    if ranker == "neural" and reranker is None:
        raise InvalidRequest("ranking_options.ranker: neural needs ranking_options.model", "name a rerank model")
    if mode != "hybrid":
        _only_hybrid(ranking, mode)
    return Question(
        texts=texts,
        most=request.max_num_results,
        mode=mode,
        where=where,
        fusion=_fusion(ranking, ranker),
        reranker=reranker,
        threshold=ranking.score_threshold or 0.0,
    )


def fusion_of(ranker: Ranker | None) -> Fusion:
    """How a query of vector IO joins nearness and words."""
    if ranker is None:
        return Fusion()
    given: dict[str, Any] = {**ranker.model_dump(exclude_none=True, exclude={"strategy", "params"})}
    if ranker.params is not None:
        given |= ranker.params.model_dump(exclude_none=True)
    if ranker.strategy == "rrf":
        return Fusion(impact=given.get("impact_factor") or given.get("k") or IMPACT)
    nearness = given.get("alpha", 0.5)
    return _shares(*given.get("weights", (nearness, 1 - nearness)), how="params.ranker.weights")


def _fusion(ranking: RankingOptions, ranker: str) -> Fusion:
    weighted = ranker in ("weighted", "normalized")
    if weighted and ranking.impact_factor is not None:
        raise InvalidRequest(f"ranking_options.impact_factor: {ranker} has none", "it belongs to the ranker rrf")
    if not weighted and (ranking.alpha is not None or ranking.weights is not None):
        raise InvalidRequest("ranking_options: alpha and weights belong to the ranker weighted", "set ranker: weighted")
    shares = ranking.hybrid_search
    if weighted:
        nearness = 0.5 if ranking.alpha is None else ranking.alpha
        pair = (nearness, 1 - nearness)
        if shares is not None:
            pair = (shares.embedding_weight, shares.text_weight)
        elif ranking.weights is not None:
            pair = (ranking.weights.get("vector", 0.0), ranking.weights.get("keyword", 0.0))
        return _shares(*pair, how="ranking_options.weights")
    impact = ranking.impact_factor or IMPACT
    if shares is None:
        return Fusion(impact=impact)
    checked = _shares(shares.embedding_weight, shares.text_weight, how="ranking_options.hybrid_search")
    return Fusion("rrf", checked.nearness, checked.words, impact)


def _shares(nearness: float, words: float, *, how: str) -> Fusion:
    if nearness < 0 or words < 0 or nearness + words <= 0:
        raise InvalidRequest(f"{how}: shares must not be negative, and one must be above 0")
    return Fusion("weighted", nearness, words)


def _only_hybrid(ranking: RankingOptions, mode: str) -> None:
    given = [
        name for name in ("hybrid_search", "alpha", "impact_factor", "weights") if getattr(ranking, name) is not None
    ]
    if ranking.ranker in FUSIONS:
        given.insert(0, "ranker")
    if given:
        raise InvalidRequest(
            f"ranking_options.{given[0]} joins two searches, and search_mode {mode} has one", "set search_mode: hybrid"
        )
