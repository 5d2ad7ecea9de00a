"""The stores of a run file: which backend keeps what. A backend that cannot serve here is noted, and what needs it does
without."""

from __future__ import annotations

import re
from typing import NamedTuple

from stack_core.config import RunConfig, StoreReference
from stack_core.errors import ConfigError
from stack_core.storage.backends import Backends
from stack_core.storage.completions import StoredCompletions
from stack_core.storage.kinds import OWN_TABLE
from stack_core.storage.kv import KeyValue
from stack_core.storage.references import KVReference, SqlReference
from stack_core.storage.sql import Prefixed, Sql
from stack_core.telemetry.sinks import SqliteSink


class MissingBackend(NamedTuple):
    """A backend of the run file that cannot serve here."""

    backend: str
    kind: str
    reason: str
    fix: str | None


class Stores:
    """The stores by who needs them."""

    def __init__(self, config: RunConfig, backends: Backends) -> None:
        self._storage, self._backends = config.storage, backends
        self._content = config.telemetry.content
        self.missing: list[MissingBackend] = []

    def metadata(self) -> KeyValue | None:
        """Where registrations are kept."""
        reference = self._storage.stores.metadata
        if reference is None or not self._here(reference.backend):
            return None
        return self._backends.kv(reference.backend, reference.namespace or "registry")

    async def completions(self) -> tuple[StoredCompletions | None, str]:
        """Where chat completions are kept, opened now so that a store that cannot be written is known at once; or why
        there is none."""
        reference = self._storage.stores.inference
        if reference is None:
            return None, "the run file names no storage.stores.inference"
        sql = self._sql(reference)
        if sql is None:
            return None, self.missing[-1].reason
        table = StoredCompletions(sql, OWN_TABLE + (reference.table_name or "inference_store"))
        await table.open()
        return table, ""

    def span_sinks(self) -> list[SqliteSink]:
        """Where spans are kept beside memory: the table of traces, else beside the completions."""
        reference = self._storage.stores.traces or self._storage.stores.inference
        sql = self._sql(reference) if reference else None
        return [SqliteSink(sql, table=OWN_TABLE + "spans", content=self._content)] if sql is not None else []

    def kv(self, name: str) -> KeyValue:
        """A part of the stack's own: the store of this name in `storage.stores`, else that of the first backend."""
        reference = self._named(name)
        backend = reference.backend if reference else self._first("kv_")
        return self._backends.kv(backend, (reference and reference.namespace) or name)

    def sql(self, name: str) -> Sql:
        """As `kv`, for tables."""
        reference = self._named(name)
        backend = reference.backend if reference else self._first("sql_")
        return _prefixed(self._backends.sql(backend), (reference and reference.table_name) or name)

    def provider_kv(self, reference: KVReference | None, otherwise: str) -> KeyValue:
        """A provider's own part: the namespace its config names, else `otherwise` in the first backend."""
        if reference is None:
            return self._backends.kv(self._first("kv_"), otherwise)
        return self._backends.kv(reference.backend, reference.namespace)

    def provider_sql(self, reference: SqlReference | None, otherwise: str) -> Sql:
        """As `provider_kv`, for tables."""
        if reference is None:
            return _prefixed(self._backends.sql(self._first("sql_")), otherwise)
        return _prefixed(self._backends.sql(reference.backend), reference.table_name)

    def _named(self, name: str) -> StoreReference | None:
        stores = self._storage.stores
        found = getattr(stores, name, None) or (stores.model_extra or {}).get(name)
        return StoreReference.model_validate(found) if isinstance(found, dict) else found

    def _first(self, prefix: str) -> str:
        for name, backend in self._storage.backends.items():
            if str(backend.get("type", "")).startswith(prefix):
                return name
        raise ConfigError(f"no backend of type {prefix}…", f"add one of type {prefix}sqlite", where="storage.backends")

    def _sql(self, reference: StoreReference) -> Sql | None:
        return self._backends.sql(reference.backend) if self._here(reference.backend) else None

    def _here(self, backend: str) -> bool:
        """Whether the packages of the backend's type are installed; notes it where not."""
        missing = self._backends.missing(backend)
        if missing is None:
            return True
        kind = str(self._storage.backends[backend].get("type"))
        row = MissingBackend(backend, kind, missing.message, missing.hint)
        if row not in self.missing:
            self.missing.append(row)
        return False


def _prefixed(sql: Sql, name: str) -> Sql:
    """Tables of our own, below a name that any text can give."""
    return Prefixed(sql, f"{OWN_TABLE}{re.sub(r'[^A-Za-z0-9]+', '_', name)}_")
