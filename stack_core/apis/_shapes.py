"""Shapes that several APIs share: open models, pages of a list, what is said of something deleted."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
Order = Literal["asc", "desc"]


class Shape(BaseModel):
    """A shape whose validator is built at its first use: declaring hundreds of them costs a notebook nothing."""

    model_config = ConfigDict(defer_build=True)


class Open(Shape):
    """A shape that keeps the fields it does not know."""

    model_config = ConfigDict(extra="allow")


class Strict(Shape):
    """A request in which a field that is not known is refused by its name, never dropped."""

    model_config = ConfigDict(extra="forbid")


def absent(value: object) -> bool:
    """For `Field(exclude_if=absent)`: what OpenAI leaves out when it is not there is not sent as null."""
    return value is None


class PageQuery(Strict):
    """Which page of a list. Shape: OpenAI's lists."""

    after: str | None = Field(None, description="Id of the last entry of the page before.")
    limit: int = Field(20, ge=1, le=100, description="Most entries to give.")
    order: Order = Field("desc", description="By creation time.")


class Listing(Shape, Generic[T]):
    """A page of a list. Shape: OpenAI's lists."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False
