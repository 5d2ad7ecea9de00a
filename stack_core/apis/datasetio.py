"""The rows of data sets."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._shapes import Shape

StartIndex = Annotated[int, Field(ge=0, description="Index of the first row to give.")]
RowLimit = Annotated[int, Field(ge=-1, description="Most rows to give; all with -1 or where left out.")]


class RowPage(Shape):
    """Some rows in their order. Shape: Llama Stack 0.3.5."""

    data: list[dict[str, Any]]
    has_more: bool
    url: str | None = Field(None, description="The path of this list.")
    next_start_index: int | None = Field(None, description="Where the next page begins, where there is one.")


class KeepsRows(Protocol):
    """What a provider implements that keeps appended rows."""

    async def forget_rows(self, dataset_id: str) -> None:
        """Drop the rows appended to a data set that is unregistered or whose source is another now."""
        ...


class DatasetIO(Protocol):
    """The rows of data sets."""

    @route(
        "GET",
        "/datasetio/iterrows/{dataset_id:path}",
        level="v1beta",
        key="dataset_id",
        sdk="datasets.iterrows beta.datasets.iterrows",
    )
    async def iterrows(
        self, dataset_id: str, start_index: StartIndex | None = None, limit: RowLimit | None = None
    ) -> RowPage:
        """Rows from an index on, those of the source first, then the appended ones."""
        ...

    @route(
        "POST",
        "/datasetio/append-rows/{dataset_id:path}",
        level="v1beta",
        key="dataset_id",
        sdk="datasets.appendrows beta.datasets.appendrows",
    )
    async def append_rows(self, dataset_id: str, rows: list[dict[str, Any]]) -> None:
        """Add rows at the end, all or none. They are durable when the call returns; the source is left as it is."""
        ...
