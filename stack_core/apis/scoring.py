"""Rows scored by scoring functions. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._scoring import ScoringFnParams, ScoringResult
from stack_core.apis._shapes import Open, Strict

ScoringFunctions = dict[str, ScoringFnParams | None]


class ScoreRequest(Strict):
    """Arguments of `score`."""

    input_rows: list[dict[str, Any]]
    scoring_functions: ScoringFunctions = Field(description="Id → parameters; null for those it was registered with.")


class ScoreBatchRequest(Strict):
    """Arguments of `score_batch`."""

    dataset_id: str
    scoring_functions: ScoringFunctions = Field(description="Id → parameters; null for those it was registered with.")
    save_results_dataset: bool = Field(False, description="Keep the scored rows as a data set of its own.")


class ScoreResponse(Open):
    """Results by the id of the scoring function."""

    results: dict[str, ScoringResult]


class ScoreBatchResponse(Open):
    """Results by the id of the scoring function."""

    dataset_id: str | None = Field(None, description="The data set of the scored rows, where they were kept.")
    results: dict[str, ScoringResult]


class Scoring(Protocol):
    """Give rows scores."""

    @route("POST", "/scoring/score", sdk="scoring.score")
    async def score(self, request: ScoreRequest) -> ScoreResponse:
        """Score the rows that are given."""
        ...

    @route("POST", "/scoring/score-batch", sdk="scoring.score_batch")
    async def score_batch(self, request: ScoreBatchRequest) -> ScoreBatchResponse:
        """Score the rows of a data set."""
        ...
