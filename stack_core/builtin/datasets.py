"""The registry of data sets."""

from __future__ import annotations

import uuid
from typing import Any

from stack_core.apis._call import Call
from stack_core.apis.datasetio import KeepsRows
from stack_core.apis.datasets import Dataset, DatasetList, Datasets, RegisterDatasetRequest, URIDataSource
from stack_core.builtin._ground import Ground
from stack_core.builtin._registry import Kind, Registry
from stack_core.errors import NotFound, StackError

HUB, LOCAL = "remote::huggingface", "inline::localfs"
"""The types that serve a `huggingface://` address and everything else, where no provider is named."""


def _make(request: RegisterDatasetRequest, provider_id: str) -> Dataset:
    identifier = request.dataset_id or f"dataset-{uuid.uuid4()}"
    return Dataset(
        identifier=identifier,
        provider_id=provider_id,
        provider_resource_id=identifier,
        purpose=request.purpose,
        source=request.source,
        metadata=request.metadata or {},
    )


_KIND = Kind("dataset", Dataset, RegisterDatasetRequest, _make, "datasetio", "datasets", "dataset_id")


class DatasetRegistry(Datasets):
    """Registered data sets; as a lookup the provider of their rows."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._registry = Registry(ground, _KIND, self._provider)

    async def __call__(self, call: Call) -> Any:
        """The provider of the rows of the data set that a call names."""
        return await self._registry.lookup(call)

    async def list_datasets(self, after: str | None = None, limit: int | None = None) -> DatasetList:
        """Registered data sets by id."""
        return DatasetList(**await self._registry.page(after, limit))

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """One data set."""
        return await self._registry.get(dataset_id)

    async def register_dataset(self, request: RegisterDatasetRequest) -> Dataset:
        """Register rows, or where they are. Another source under the same id begins without the old appended rows."""
        before = await self._before(request.dataset_id)
        made = await self._registry.register(request)
        if before is not None and (before.source, before.provider_id) != (made.source, made.provider_id):
            await self._forget_rows(before)
        return made

    async def unregister_dataset(self, dataset_id: str) -> None:
        """Forget a data set and the rows appended to it."""
        await self._forget_rows(await self._registry.unregister(dataset_id))

    async def _before(self, dataset_id: str | None) -> Dataset | None:
        try:
            return await self._registry.get(dataset_id) if dataset_id else None
        except NotFound:
            return None

    async def _forget_rows(self, dataset: Dataset) -> None:
        try:
            provider: KeepsRows = self._registry.instance(dataset)
        except StackError:
            return  # a provider that does not run keeps nothing that could be reached
        if hasattr(provider, "forget_rows"):
            await provider.forget_rows(dataset.identifier)

    def _provider(self, request: RegisterDatasetRequest) -> str | None:
        """The provider that the metadata name, else the one that serves this kind of address."""
        if given := (request.metadata or {}).get("provider_id"):
            return str(given)
        remote = isinstance(request.source, URIDataSource) and request.source.uri.startswith("huggingface:")
        wanted = HUB if remote else LOCAL
        of_type = [p.provider_id for p in self._ground.providers("datasetio").values() if p.provider_type == wanted]
        return of_type[0] if len(of_type) == 1 else None
