"""How a model picks its words, and in which form it answers. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stack_core.apis._shapes import Strict


class GreedySampling(Strict):
    """Always the likeliest token."""

    type: Literal["greedy"] = "greedy"


class TopPSampling(Strict):
    """From the likeliest tokens whose probabilities add up to `top_p`."""

    type: Literal["top_p"] = "top_p"
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(0.95, gt=0, le=1)


class TopKSampling(Strict):
    """From the `top_k` likeliest tokens."""

    type: Literal["top_k"] = "top_k"
    top_k: int = Field(ge=1)


Sampling = Annotated[GreedySampling | TopPSampling | TopKSampling, Field(discriminator="type")]


class SamplingParams(Strict):
    """How a model picks its words."""

    strategy: Sampling = Field(default_factory=GreedySampling)
    max_tokens: int | None = Field(None, ge=0, description="0 and null: no limit of ours.")
    repetition_penalty: float | None = Field(1.0, gt=0)
    stop: list[str] | None = Field(None, description="Texts that end the answer.")


class SchemaFormat(Strict):
    """The answer is JSON that fits a schema. Shape: Llama Stack's `JsonSchemaResponseFormat`."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: dict[str, Any]


class BnfFormat(Strict):
    """The answer fits a grammar. Shape: Llama Stack's `GrammarResponseFormat`."""

    type: Literal["grammar"] = "grammar"
    bnf: dict[str, Any]


AnswerFormat = Annotated[SchemaFormat | BnfFormat, Field(discriminator="type")]
"""Llama Stack's `ResponseFormat`."""
