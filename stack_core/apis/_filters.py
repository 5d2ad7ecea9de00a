"""Conditions on attributes, as searches of vector stores take them. Shape: OpenAI's comparison and compound filters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from stack_core.apis._shapes import Strict

FilterValue = str | bool | int | float


class ComparisonFilter(Strict):
    """A condition on one attribute."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: FilterValue | list[FilterValue]

    @model_validator(mode="after")
    def _a_list_for_in(self) -> ComparisonFilter:
        if (self.type in ("in", "nin")) != isinstance(self.value, list):
            raise ValueError(f"{self.type} takes {'a list' if self.type in ('in', 'nin') else 'one value'}")
        return self


class CompoundFilter(Strict):
    """Conditions joined."""

    type: Literal["and", "or"]
    filters: list[Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")]] = Field(min_length=1)


def _none_of_empty(given: Any) -> Any:
    """Llama Stack's clients send `{}` for no filter."""
    return None if given == {} else given


SearchFilter = Annotated[
    Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")] | None, BeforeValidator(_none_of_empty)
]
"""A filter, or none."""
