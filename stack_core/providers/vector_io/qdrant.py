"""Qdrant in this process: `inline::qdrant`."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from stack_core.apis.providers import ProviderId
from stack_core.errors import ConfigError, StackError, StoreUnavailable
from stack_core.providers._registry import provider
from stack_core.providers.vector_io._qdrant_rows import QdrantRows
from stack_core.providers.vector_io._rows import RowIndex, Rows
from stack_core.storage.references import KVReference

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class _Local(QdrantRows):
    """The collections of a folder, each of which Qdrant keeps in a SQLite file."""

    def __init__(self, client: QdrantClient, folder: Path) -> None:
        super().__init__(client)
        self._folder = folder

    def make(self, table: str, dimension: int) -> None:
        """Make a collection. Its file gets a write-ahead log: Qdrant commits each entry, which is far faster so."""
        super().make(table, dimension)
        file = self._folder / "collection" / table / "storage.sqlite"
        if file.exists():
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")


@provider("inline::qdrant", packages=("qdrant_client",), extra="qdrant")
class Qdrant(RowIndex):
    """Qdrant's local mode: exact search in this process, its data in a folder, for some ten thousand entries.

    One process at a time opens the folder. Words are ranked by BM25, with a fixed length of a usual text. Qdrant writes
    entry by entry: a program that is killed in the midst of a put leaves a part of it.
    """

    class Config(BaseModel):
        """The folder. It keeps its own list of collections, so Llama Stack's `persistence` is not needed."""

        model_config = ConfigDict(extra="forbid")
        path: str = Field(
            "~/.llama/runtime/qdrant.db",
            validation_alias=AliasChoices("path", "db_path"),
            description="Path of the folder; `~` is expanded.",
        )
        persistence: KVReference | None = Field(None, description="Not needed: the folder lists its collections.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        if not config.path or "\0" in config.path:
            raise ConfigError("path must be the path of a folder", "name one, such as ~/.llama/qdrant")
        self._path = os.path.realpath(Path(config.path).expanduser())
        super().__init__(f"the Qdrant folder {self._path}", str(provider_id), threads=1)  # it is not safe in several

    def open(self) -> Rows:
        """Open the folder; it is made where there is none."""
        from qdrant_client import QdrantClient

        try:
            client = QdrantClient(path=self._path, force_disable_check_same_thread=True)
        except RuntimeError as error:  # so the client says that another one has the folder
            raise self._lost(error, "close what has it open: one process at a time may") from error
        return _Local(client, Path(self._path))

    def translated(self, error: Exception) -> StackError | None:
        """A fault of the folder."""
        return self._lost(error) if isinstance(error, OSError | sqlite3.Error) else None

    def _lost(self, error: Exception, hint: str = "see that it can be read and written") -> StoreUnavailable:
        return StoreUnavailable(f"{self.place} cannot be used: {error}", hint)
