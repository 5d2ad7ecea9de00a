"""The stores of a stack: what `storage.backends` of the run file names, each opened at its first use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal

from stack_core.errors import ConfigError, nearest
from stack_core.storage._sqlite_open import Synchronous
from stack_core.storage.kv import KeyValue, Scoped
from stack_core.storage.kv_on_sql import KeyValueTable
from stack_core.storage.sql import Row, Sql, Table, Where
from stack_core.storage.sqlite import open_sqlite

AVAILABLE = {"kv_sqlite": "~/.llama/runtime/kvstore.db", "sql_sqlite": "~/.llama/runtime/sqlstore.db"}
"""Backend type → where its file is when the run file does not say (Llama Stack's defaults)."""
LATER = ("kv_postgres", "kv_redis", "kv_mongodb", "sql_postgres")
"""Types of Llama Stack that this version does not have."""

_FIELDS = ("type", "db_path", "namespace", "synchronous")


class Backends:
    """The stores by name. An async context: leaving it writes what waits and closes what was opened.

    Args:
        config: name → {"type": "kv_sqlite" or "sql_sqlite", "db_path": a path or ":memory:",
            "synchronous": "normal" (the default) or "full"}.
        where: the place of `config` in the run file, for errors.
    """

    def __init__(self, config: Mapping[str, Mapping[str, Any]], where: str = "storage.backends") -> None:
        self._config, self._where = config, where
        self._exit = AsyncExitStack()
        self._opened: dict[str, _OpenedAtFirstUse] = {}

    async def __aenter__(self) -> Backends:
        await self._exit.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._exit.__aexit__(*error)

    def kv(self, backend: str, namespace: str) -> KeyValue:
        """The key-value store of a backend, seen through a namespace. Opens nothing yet.

        Raises:
            ConfigError: no such backend, or one of another kind or of an unknown type.
        """
        return Scoped(KeyValueTable(self._store(backend, "kv")), namespace)

    def sql(self, backend: str) -> Sql:
        """The tables of a backend. Opens nothing yet.

        Raises:
            ConfigError: no such backend, or one of another kind or of an unknown type.
        """
        return self._store(backend, "sql")

    def _store(self, backend: str, kind: Literal["kv", "sql"]) -> Sql:
        settings = self._checked(backend, kind)
        if backend not in self._opened:
            path = str(settings.get("db_path") or AVAILABLE[settings["type"]])
            synchronous: Synchronous = settings.get("synchronous") or "normal"
            self._opened[backend] = _OpenedAtFirstUse(
                lambda: self._exit.enter_async_context(open_sqlite(path, synchronous=synchronous))
            )
        return self._opened[backend]

    def _checked(self, backend: str, kind: str) -> Mapping[str, Any]:
        if backend not in self._config:
            close = nearest(backend, self._config)
            known = ", ".join(sorted(self._config)) or "none"
            hint = f"did you mean {' or '.join(close)}?" if close else f"the run file has these: {known}"
            raise ConfigError(f"no storage backend {backend!r}", hint, where=self._where)
        settings, where = self._config[backend], f"{self._where}.{backend}"
        given = str(settings.get("type"))
        if given not in AVAILABLE:
            later = "is not available in this version" if given in LATER else "is unknown"
            raise ConfigError(
                f"storage backend type {given!r} {later}", f"available: {', '.join(AVAILABLE)}", where=f"{where}.type"
            )
        if not given.startswith(f"{kind}_"):
            raise ConfigError(f"a {kind}_… backend is needed here, this one is {given}", where=f"{where}.type")
        for name in settings:
            if name not in _FIELDS:
                close = nearest(name, _FIELDS)
                hint = f"did you mean {close[0]}?" if close else f"it may have {', '.join(_FIELDS)}"
                raise ConfigError(f"unknown field {name!r}", hint, where=where)
        path = settings.get("db_path")
        if path is not None and (not isinstance(path, str) or "\0" in path):
            raise ConfigError("must be the path of a file", where=f"{where}.db_path")
        if settings.get("synchronous") not in (None, "normal", "full"):
            raise ConfigError("must be normal or full", where=f"{where}.synchronous")
        return settings


class _OpenedAtFirstUse:
    """A store that opens when it is first asked for something; a failure is told again at the next try."""

    def __init__(self, opening: Callable[[], Awaitable[Sql]]) -> None:
        self._opening = opening
        self._lock = asyncio.Lock()
        self._sql: Sql | None = None

    async def _ready(self) -> Sql:
        if self._sql is None:
            async with self._lock:
                if self._sql is None:
                    self._sql = await self._opening()
        return self._sql

    async def ensure(self, table: Table) -> None:
        """Create the table, or bring an older one to this version."""
        await (await self._ready()).ensure(table)

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows."""
        await (await self._ready()).insert(table, rows, replace=replace)

    def enqueue(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows without waiting; False before the store was opened by `ensure`."""
        return self._sql is not None and self._sql.enqueue(table, rows)

    async def flush(self) -> None:
        """Wait until everything that was enqueued before is durable."""
        if self._sql is not None:
            await self._sql.flush()

    async def select(
        self,
        table: str,
        where: Sequence[Where] = (),
        *,
        order: Sequence[tuple[str, Literal["asc", "desc"]]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """Matching rows."""
        return await (await self._ready()).select(table, where, order=order, limit=limit, offset=offset)

    async def update(self, table: str, values: Mapping[str, Any], where: Sequence[Where]) -> int:
        """Change matching rows; gives their number."""
        return await (await self._ready()).update(table, values, where)

    async def delete(self, table: str, where: Sequence[Where]) -> int:
        """Remove matching rows; gives their number."""
        return await (await self._ready()).delete(table, where)
