"""Chroma: in this process (`inline::chromadb`) and as a server (`remote::chromadb`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis.providers import ProviderId
from stack_core.errors import ConfigError, StackError, StoreUnavailable
from stack_core.providers._registry import provider
from stack_core.providers.vector_io._chroma_rows import ChromaRows, is_fault
from stack_core.providers.vector_io._rows import RowIndex, Rows
from stack_core.storage.references import KVReference

THREADS = 4


def _settings(**given: Any) -> Any:
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False, **given)


@provider("inline::chromadb", packages=("chromadb",), extra="chromadb")
class Chroma(RowIndex):
    """Chroma in this process, its data in a folder. Words are ranked by BM25 here.

    One process at a time may write the folder; for more of them run a server and use `remote::chromadb`.
    """

    class Config(BaseModel):
        """The folder. It keeps its own list of collections, so Llama Stack's `persistence` is not needed."""

        model_config = ConfigDict(extra="forbid")
        db_path: str = Field("~/.llama/runtime/chroma.db", description="Path of the folder; `~` is expanded.")
        persistence: KVReference | None = Field(None, description="Not needed: the folder lists its collections.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        if not config.db_path or "\0" in config.db_path:
            raise ConfigError("db_path must be the path of a folder", "name one, such as ~/.llama/chroma")
        self._path = os.path.realpath(Path(config.db_path).expanduser())
        super().__init__(f"the Chroma folder {self._path}", str(provider_id), threads=THREADS)

    def open(self) -> Rows:
        """Open the folder; it is made where there is none."""
        import chromadb

        Path(self._path).mkdir(0o700, parents=True, exist_ok=True)
        return ChromaRows(chromadb.PersistentClient(self._path, settings=_settings()))

    def translated(self, error: Exception) -> StackError | None:
        """A fault of the folder."""
        if not is_fault(error):
            return None
        return StoreUnavailable(f"{self.place} cannot be used: {error}", "see that it can be read and written")


@provider("remote::chromadb", packages=("chromadb",), extra="chromadb")
class ChromaServer(RowIndex):
    """A Chroma server, by HTTP. Words are ranked by BM25 here. Every process sees the others' writes."""

    class Config(BaseModel):
        """The server. It keeps its own list of collections, so Llama Stack's `persistence` is not needed."""

        model_config = ConfigDict(extra="forbid")
        url: str = Field("http://localhost:8000", description="Where the server is: scheme, host and port.")
        persistence: KVReference | None = Field(None, description="Not needed: the server lists its collections.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        self._host, self._port, self._ssl = _parts(config.url)
        super().__init__(f"Chroma at {self._host}:{self._port}", str(provider_id), threads=THREADS)

    def open(self) -> Rows:
        """Connect to the server."""
        import chromadb

        try:
            client = chromadb.HttpClient(self._host, self._port, ssl=self._ssl, settings=_settings())
        except ValueError as error:  # so the client says that nobody answers
            raise self.unavailable(error) from error
        return ChromaRows(client)

    def translated(self, error: Exception) -> StackError | None:
        """A fault of the server or of the way to it."""
        return self.unavailable(str(error) or type(error).__name__) if is_fault(error) else None


def _parts(url: str) -> tuple[str, int, bool]:
    """Host, port and whether it is encrypted.

    Raises:
        ConfigError: the URL is none that Chroma's client takes.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, ssl = parts.hostname, parts.scheme == "https"
        port = parts.port or (443 if ssl else 80 if "://" in url else 8000)
    except ValueError as error:
        raise ConfigError(f"url is no URL: {error}", "give one such as http://localhost:8000") from error
    if not host or parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.username or parts.query:
        raise ConfigError("url must be scheme, host and port alone", "give one such as http://localhost:8000")
    return host, port, ssl
