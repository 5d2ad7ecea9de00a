"""Milvus: Milvus Lite in this process (`inline::milvus`) and a server (`remote::milvus`)."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stack_core.apis.providers import ProviderId
from stack_core.errors import ConfigError, StackError, StoreUnavailable
from stack_core.providers._registry import provider
from stack_core.providers.vector_io._milvus_rows import MilvusRows, faults
from stack_core.providers.vector_io._rows import RowIndex, Rows
from stack_core.storage.references import KVReference

if TYPE_CHECKING:
    from pymilvus import MilvusClient  # type: ignore[import-untyped]  # it has no types

THREADS = 4
MOST_DIMENSIONS = 32_768
"""Of Milvus."""
CONNECT_SECONDS = 10.0
AGAIN = {"grpc.use_local_subchannel_pool": 1, "grpc.max_reconnect_backoff_ms": 1_000}
"""A new try to connect is one: without these gRPC remembers for minutes that nobody answered."""


@provider("inline::milvus", packages=("pymilvus", "milvus_lite"), extra="milvus")
class MilvusLite(RowIndex):
    """Milvus Lite: exact search in this process, its data in a folder. Words are ranked by BM25 here.

    One process at a time opens the folder. Milvus Lite listens on a free port of 127.0.0.1 without a password while it
    is open: whoever has an account on the machine can read and write what is in it.
    """

    most_dimensions = MOST_DIMENSIONS

    class Config(BaseModel):
        """The folder. It keeps its own list of collections, so Llama Stack's `persistence` is not needed."""

        model_config = ConfigDict(extra="forbid")
        db_path: str = Field("~/.llama/runtime/milvus.db", description="Path that ends in .db; `~` is expanded.")
        persistence: KVReference | None = Field(None, description="Not needed: the folder lists its collections.")
        consistency_level: str = Field("Strong", description="Nothing else is of use in one process.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        if not config.db_path.endswith(".db") or "\0" in config.db_path:
            raise ConfigError("db_path must be a path that ends in .db", "name one, such as ~/.llama/milvus.db")
        _check_level(config.consistency_level)
        self._path = os.path.realpath(Path(config.db_path).expanduser())
        super().__init__(f"the Milvus folder {self._path}", str(provider_id), threads=THREADS)

    def open(self) -> Rows:
        """Open the folder; it is made where there is none."""
        Path(self._path).parent.mkdir(0o700, parents=True, exist_ok=True)
        return _Lite(_client(uri=self._path), self._path)

    def translated(self, error: Exception) -> StackError | None:
        """A fault of the folder."""
        if not isinstance(error, faults()):
            return None
        hint = "see that it can be read and written, and that no other process has it open"
        return StoreUnavailable(f"{self.place} cannot be used: {_said(error)}", hint)


class _Lite(MilvusRows):
    """Milvus Lite runs on after its last client; it goes with ours, so that another process may open the folder."""

    def __init__(self, client: MilvusClient, path: str) -> None:
        super().__init__(client, "Strong")
        self._path = path

    def close(self) -> None:
        """Let the client and Milvus Lite go."""
        from milvus_lite.server_manager import (  # type: ignore[import-untyped]  # it has no types
            server_manager_instance,
        )

        super().close()
        server_manager_instance.release_server(self._path)


@provider("remote::milvus", packages=("pymilvus",), extra="milvus")
class MilvusServer(RowIndex):
    """A Milvus server, by gRPC. Words are ranked by BM25 here.

    With the consistency level `Strong` every process sees the others' writes at once; with another one maybe later.
    """

    most_dimensions = MOST_DIMENSIONS

    class Config(BaseModel):
        """The server. It keeps its own list of collections, so Llama Stack's `persistence` is not needed.

        Further fields, such as `secure` and `server_pem_path`, go to Milvus' client as they are; so do those of
        `config`.
        """

        model_config = ConfigDict(extra="allow", hide_input_in_errors=True)
        uri: str = Field("http://localhost:19530", description="Where the server is.")
        token: SecretStr | None = Field(None, description="`user:password`, or a key.")
        consistency_level: str = Field("Strong", description="Strong, Bounded, Session or Eventually.")
        persistence: KVReference | None = Field(None, description="Not needed: the server lists its collections.")
        config: dict[str, Any] = Field(default_factory=dict, description="Further arguments of Milvus' client.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        if "://" not in config.uri or "@" in config.uri:
            raise ConfigError("uri must be a URL without a password", "give http://localhost:19530, and a token apart")
        _check_level(config.consistency_level)
        self._config = config
        super().__init__(f"Milvus at {config.uri.partition('?')[0]}", str(provider_id), threads=THREADS)

    def open(self) -> Rows:
        """Connect to the server."""
        token = self._config.token
        further = {**self._config.config, **(self._config.model_extra or {})}
        secret = token.get_secret_value() if token else ""
        client = _client(
            **{"timeout": CONNECT_SECONDS, "grpc_options": AGAIN, **further, "uri": self._config.uri, "token": secret}
        )
        return MilvusRows(client, self._config.consistency_level)

    def translated(self, error: Exception) -> StackError | None:
        """A fault of the server or of the way to it."""
        return self.unavailable(_said(error)) if isinstance(error, faults()) else None


def _client(**given: Any) -> MilvusClient:
    from pymilvus import MilvusClient

    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises, with the trace of each call
    return MilvusClient(**given)


_LEVELS = ("Strong", "Bounded", "Session", "Eventually")


def _check_level(level: str) -> None:
    if level not in _LEVELS:
        raise ConfigError(f"no consistency level is called {level!r}", f"use {', '.join(_LEVELS)}")


def _said(error: Exception) -> str:
    return str(getattr(error, "message", "") or error or type(error).__name__).partition("\n")[0]
