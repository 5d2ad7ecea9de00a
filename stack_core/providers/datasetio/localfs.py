"""Rows of registered lists, of files below certain folders, and of what is downloaded: without any service.

Formats: JSON lines, JSON, CSV, TSV and Parquet, also compressed by gzip. Appended rows are kept in the key-value store;
a source is never written to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis.datasetio import DatasetIO, RowPage
from stack_core.apis.datasets import Datasets, RowsDataSource
from stack_core.apis.files import Files
from stack_core.providers._registry import provider
from stack_core.providers.datasetio._appended import Appended
from stack_core.providers.datasetio._folders import Folders
from stack_core.providers.datasetio._pages import ListTable, Table, page_of
from stack_core.providers.datasetio._sources import Sources
from stack_core.storage.kv import KeyValue
from stack_core.storage.references import KVReference

Rows = list[dict[str, Any]]


class LocalFSConfig(BaseModel):
    """Fields of Llama Stack 0.3.5 (`kvstore`), and what may be read."""

    model_config = ConfigDict(extra="forbid")
    kvstore: KVReference | None = Field(None, description="Where appended rows are kept.")
    roots: list[Path] | None = Field(
        None, description="Folders below which files may be read; the working directory where left out."
    )
    downloads: bool = Field(True, description="Whether http and https addresses are read.")
    private_hosts: bool | None = Field(
        None, description="Whether addresses of the own network are read; left out: where no caller is known."
    )
    max_bytes: int = Field(512 * 1024 * 1024, ge=1, description="Most bytes of a download, or of an unpacked file.")


@provider("inline::localfs")
class LocalFS(DatasetIO):
    """Rows of lists, files, addresses and uploads."""

    Config = LocalFSConfig

    def __init__(self, config: LocalFSConfig, datasets: Datasets, files: Files | None, kvstore: KeyValue) -> None:
        self._datasets, self._appended = datasets, Appended(kvstore)
        folders = Folders(config.roots, "inline::localfs")
        self._sources = Sources(folders, config.max_bytes, config.downloads, files, config.private_hosts)

    async def __aenter__(self) -> LocalFS:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._sources.close()

    async def iterrows(self, dataset_id: str, start_index: int | None = None, limit: int | None = None) -> RowPage:
        """Rows from an index on, those of the source first, then the appended ones."""
        source = (await self._datasets.get_dataset(dataset_id=dataset_id)).source
        if isinstance(source, RowsDataSource):
            table: Table = ListTable(source.rows)
        else:
            table = await self._sources.open(source.uri, anew=not start_index)
        return await page_of(dataset_id, table, self._appended, start_index, limit)

    async def append_rows(self, dataset_id: str, rows: Rows) -> None:
        """Add rows at the end. They are durable when the call returns; the source is left as it is."""
        await self._appended.add(dataset_id, rows)

    async def forget_rows(self, dataset_id: str) -> None:
        """Drop appended rows (`KeepsRows`)."""
        await self._appended.forget(dataset_id)
