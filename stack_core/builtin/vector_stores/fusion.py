"""Scores of several searches made one, always from 0 to 1 and greater for better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stack_core.apis.vector_io import Hit

IMPACT = 60.0
"""The constant of reciprocal rank fusion, as in its paper and at Llama Stack."""


@dataclass(frozen=True)
class Found:
    """A hit with its score from 0 to 1."""

    hit: Hit
    score: float


@dataclass(frozen=True)
class Fusion:
    """How nearness and words are joined: by places (`rrf`) or by scores (`weighted`), with the share of each."""

    how: Literal["rrf", "weighted"] = "rrf"
    nearness: float = 1.0
    words: float = 1.0
    impact: float = IMPACT

    def join(self, near: Sequence[Hit], worded: Sequence[Hit]) -> list[Found]:
        """One list out of two, best first."""
        scores = self._by_place if self.how == "rrf" else _by_score
        shares = self.nearness + self.words
        total: dict[str, float] = {}
        for share, hits in ((self.nearness, near), (self.words, worded)):
            for id, score in scores(hits).items():
                total[id] = total.get(id, 0.0) + share * score / shares
        by_id = {hit.id: hit for hit in (*worded, *near)}
        return ranked([Found(by_id[id], score) for id, score in total.items()])

    def _by_place(self, hits: Sequence[Hit]) -> Mapping[str, float]:
        """Reciprocal rank, stretched so that the first place of a list is 1."""
        return {hit.id: (self.impact + 1) / (self.impact + place) for place, hit in enumerate(hits, 1)}


def ranked(found: Sequence[Found]) -> list[Found]:
    """Best first; equals by id, so that an order is the same each time."""
    return sorted(found, key=lambda one: (-one.score, one.hit.id))


def by_nearness(hits: Sequence[Hit]) -> list[Found]:
    """Cosine similarity; what points away scores 0."""
    return [Found(hit, min(1.0, max(0.0, hit.score))) for hit in hits]


def by_words(hits: Sequence[Hit]) -> list[Found]:
    """A BM25 score s as s / (1 + s)."""
    return [Found(hit, max(0.0, hit.score) / (1 + max(0.0, hit.score))) for hit in hits]


def best_of(lists: Sequence[Sequence[Found]]) -> list[Found]:
    """The answers to several queries as one list: each hit at the best of its scores."""
    best: dict[str, Found] = {}
    for found in lists:
        for one in found:
            if one.hit.id not in best or one.score > best[one.hit.id].score:
                best[one.hit.id] = one
    return ranked(list(best.values()))


def _by_score(hits: Sequence[Hit]) -> Mapping[str, float]:
    """Scores stretched over 0 to 1."""
    if not hits:
        return {}
    low, high = min(hit.score for hit in hits), max(hit.score for hit in hits)
    return {hit.id: (hit.score - low) / (high - low) if high > low else 1.0 for hit in hits}
