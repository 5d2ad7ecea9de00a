"""The stores of a stack: what `storage.backends` of the run file names, each opened at its first use."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal

from stack_core.errors import ConfigError, MissingPackage, nearest
from stack_core.storage._first_use import KeyValueAtFirstUse, SqlAtFirstUse
from stack_core.storage.addresses import SqliteAddress
from stack_core.storage.kinds import KINDS, OWN_TABLE, Kind, KVPostgres
from stack_core.storage.kv import KeyValue, Scoped
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sql import Sql


class Backends:
    """The stores by name. An async context: leaving it writes what waits and closes what was opened.

    Args:
        config: name → {"type": one of `KINDS`, and the fields of that type}.
        where: the place of `config` in the run file, for errors.
    """

    def __init__(self, config: Mapping[str, Mapping[str, Any]], where: str = "storage.backends") -> None:
        self._config, self._where = config, where
        self._exit = AsyncExitStack()
        self._sql: dict[Hashable, SqlAtFirstUse] = {}
        self._kv: dict[Hashable, KeyValueAtFirstUse] = {}

    async def __aenter__(self) -> Backends:
        await self._exit.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._exit.__aexit__(*error)

    def kv(self, backend: str, namespace: str) -> KeyValue:
        """The key-value store of a backend, seen through a namespace. Opens nothing yet.

        Raises:
            ConfigError: no such backend, or one of another kind or of an unknown type, or with a wrong field.
        """
        kind, settings = self._checked(backend, "kv")
        store: KeyValue
        if kind.keys:
            store = self._kv_store(kind, settings, backend)
        elif isinstance(settings, KVPostgres):
            store = KeyValueTable(self._sql_store(kind, settings, backend), OWN_TABLE + settings.table_name)
        else:
            store = KeyValueTable(self._sql_store(kind, settings, backend))
        return Scoped(Scoped(store, settings.namespace) if settings.namespace else store, namespace)

    def sql(self, backend: str) -> Sql:
        """The tables of a backend. Opens nothing yet.

        Raises:
            ConfigError: no such backend, or one of another kind or of an unknown type, or with a wrong field.
        """
        kind, settings = self._checked(backend, "sql")
        return self._sql_store(kind, settings, backend)

    def missing(self, backend: str) -> MissingPackage | None:
        """Why a backend cannot serve here, where a package of its type is not installed."""
        name = str(self._config.get(backend, {}).get("type"))
        return KINDS[name].missing(f"the storage backend {backend} ({name})") if name in KINDS else None

    def _sql_store(self, kind: Kind, settings: Any, backend: str) -> SqlAtFirstUse:
        key, address = _identity(kind, settings, backend)
        if key not in self._sql:

            async def opening() -> Sql:
                opened: Sql = await self._entered(kind, address, backend)
                return opened

            self._sql[key] = SqlAtFirstUse(opening)
        return self._sql[key]

    def _kv_store(self, kind: Kind, settings: Any, backend: str) -> KeyValueAtFirstUse:
        key, address = _identity(kind, settings, backend)
        if key not in self._kv:

            async def opening() -> KeyValue:
                opened: KeyValue = await self._entered(kind, address, backend)
                return opened

            self._kv[key] = KeyValueAtFirstUse(opening)
        return self._kv[key]

    async def _entered(self, kind: Kind, address: Any, backend: str) -> Any:
        if (missing := self.missing(backend)) is not None:
            raise missing
        return await self._exit.enter_async_context(kind.open(address))

    def _checked(self, backend: str, group: Literal["kv", "sql"]) -> tuple[Kind, Any]:
        if backend not in self._config:
            close = nearest(backend, self._config)
            known = ", ".join(sorted(self._config)) or "none"
            hint = f"did you mean {' or '.join(close)}?" if close else f"the run file has these: {known}"
            raise ConfigError(f"no storage backend {backend!r}", hint, where=self._where)
        where, given = f"{self._where}.{backend}", str(self._config[backend].get("type"))
        if given not in KINDS:
            close = nearest(given, KINDS)
            hint = f"did you mean {close[0]}?" if close else f"available: {', '.join(KINDS)}"
            raise ConfigError(f"storage backend type {given!r} is unknown", hint, where=f"{where}.type")
        if not given.startswith(f"{group}_"):
            raise ConfigError(f"a {group}_… backend is needed here, this one is {given}", where=f"{where}.type")
        return KINDS[given], KINDS[given].checked(self._config[backend], where)


def _identity(kind: Kind, settings: Any, backend: str) -> tuple[Hashable, Any]:
    """What tells one store from another, and its address. A file is shared below; a memory is each backend's own."""
    address = kind.shares(**{name: getattr(settings, name) for name in kind.shares.model_fields})
    return (backend, address) if isinstance(address, SqliteAddress) else address, address
