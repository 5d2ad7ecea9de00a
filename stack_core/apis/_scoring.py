"""Parameters of scoring functions, and what they give. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stack_core.apis._shapes import Open, Strict

AggregationFunction = Literal["average", "weighted_average", "median", "categorical_count", "accuracy"]


class LLMAsJudgeParams(Strict):
    """A model that judges. `prompt_template` may name the columns of a row in braces."""

    type: Literal["llm_as_judge"] = "llm_as_judge"
    judge_model: str
    prompt_template: str | None = None
    judge_score_regexes: list[str] = Field(default_factory=list, description="The first that matches gives the score.")
    aggregation_functions: list[AggregationFunction] = Field(default_factory=list)


class RegexParserParams(Strict):
    """An answer that is found by regular expressions."""

    type: Literal["regex_parser"] = "regex_parser"
    parsing_regexes: list[str] = Field(default_factory=list)
    aggregation_functions: list[AggregationFunction] = Field(default_factory=list)


class BasicParams(Strict):
    """A comparison that needs nothing but how its scores are put together."""

    type: Literal["basic"] = "basic"
    aggregation_functions: list[AggregationFunction] = Field(default_factory=list)


ScoringFnParams = Annotated[LLMAsJudgeParams | RegexParserParams | BasicParams, Field(discriminator="type")]


class ScoringResult(Open):
    """The scores of one function: a row each, and what they come to."""

    score_rows: list[dict[str, Any]]
    aggregated_results: dict[str, Any]
