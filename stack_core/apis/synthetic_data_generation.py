"""Data that models write from examples. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._messages import Dialog
from stack_core.apis._shapes import Open, Strict

Filtering = Literal["none", "random", "top_k", "top_p", "top_k_top_p", "sigmoid"]


class GenerateRequest(Strict):
    """Arguments of `synthetic_data_generate`."""

    dialogs: list[Dialog] = Field(description="Messages to go by.")
    filtering_function: Filtering = Field("none", description="Which of the generated rows are kept.")
    model: str | None = Field(None, description="The model that writes.")


class GeneratedData(Open):
    """The rows that were kept."""

    synthetic_data: list[dict[str, Any]]
    statistics: dict[str, Any] | None = None


class SyntheticDataGeneration(Protocol):
    """Let models write data."""

    @route("POST", "/synthetic-data-generation/generate", sdk="synthetic_data_generation.generate")
    async def synthetic_data_generate(self, request: GenerateRequest) -> GeneratedData:
        """Write rows like the given dialogs, and filter them."""
        ...
