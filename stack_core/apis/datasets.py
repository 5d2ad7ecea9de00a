"""The data sets that are registered: where their rows come from and what they are for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._resources import PageLimit, Resource, ResourceId
from stack_core.apis._shapes import Listing, Strict

Purpose = Literal["post-training/messages", "eval/question-answer", "eval/messages-answer"]


class URIDataSource(Strict):
    """Rows behind an address."""

    type: Literal["uri"] = "uri"
    uri: str = Field(
        min_length=1,
        description="A path, file://…, lsfs://…, https://…, data:text/csv;base64,…, the id of an uploaded file, or "
        "huggingface://datasets/name?split=train.",
    )


class RowsDataSource(Strict):
    """Rows as they are."""

    type: Literal["rows"] = "rows"
    rows: list[dict[str, Any]]


DataSource = Annotated[URIDataSource | RowsDataSource, Field(discriminator="type")]


class Dataset(Resource):
    """A data set. Shape: Llama Stack 0.3.5."""

    type: Literal["dataset"] = "dataset"
    purpose: Purpose
    source: DataSource
    metadata: dict[str, Any] = Field(default_factory=dict)


class DatasetList(Listing[Dataset]):
    """Registered data sets by id."""


class RegisterDatasetRequest(Strict):
    """Arguments of `register_dataset`."""

    purpose: Purpose = Field(
        description="post-training/messages: a column messages; eval/question-answer: question and answer; "
        "eval/messages-answer: messages and answer."
    )
    source: DataSource
    metadata: dict[str, Any] | None = Field(None, description="`provider_id` in it picks the provider.")
    dataset_id: ResourceId | None = Field(None, description="Generated where left out.")


class Datasets(Protocol):
    """The data sets that are registered."""

    @route("GET", "/datasets", level="v1beta", sdk="datasets.list beta.datasets.list")
    async def list_datasets(self, after: str | None = None, limit: PageLimit | None = None) -> DatasetList:
        """Registered data sets by id."""
        ...

    @route("GET", "/datasets/{dataset_id:path}", level="v1beta", sdk="datasets.retrieve beta.datasets.retrieve")
    async def get_dataset(self, dataset_id: str) -> Dataset:
        """One data set."""
        ...

    @route("POST", "/datasets", level="v1beta", sdk="datasets.register beta.datasets.register")
    async def register_dataset(self, request: RegisterDatasetRequest) -> Dataset:
        """Register rows, or where they are."""
        ...

    @route("DELETE", "/datasets/{dataset_id:path}", level="v1beta", sdk="datasets.unregister beta.datasets.unregister")
    async def unregister_dataset(self, dataset_id: str) -> None:
        """Forget a data set and the rows appended to it; what its source is stays as it is."""
        ...
