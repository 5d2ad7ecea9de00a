"""Open a distribution: stores, telemetry, providers and the door, built in order and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from stack_core.apis._bind import ApiHolder, Bound, Door
from stack_core.apis._declare import Route
from stack_core.apis.models import Model
from stack_core.config import RunConfig, StoreReference, load_config
from stack_core.errors import ConfigError, Unsupported
from stack_core.redaction import redact, scrubber
from stack_core.resolver import Injection, Key, Provider, build, plan
from stack_core.resources import ResourceTable
from stack_core.routers.about import About
from stack_core.routers.access import Access
from stack_core.routers.budget import Spending
from stack_core.routers.completions import Completions
from stack_core.routers.dispatch import Dispatcher
from stack_core.routers.models import ModelRouter, configured
from stack_core.storage.backends import LATER, Backends
from stack_core.storage.completions import StoredCompletions
from stack_core.storage.kv import KeyValue
from stack_core.storage.sql import Sql
from stack_core.telemetry.middleware import Telemetry
from stack_core.telemetry.sinks import MemorySink, SqliteSink
from stack_core.telemetry.spans import Span, SpanSource, Trace, spans, traces

OWN_TABLE = "stack_"
"""Begins the names of our tables: a run file of Llama Stack may name a database that holds Llama Stack's own tables."""


class Unavailable(NamedTuple):
    """A part of the run file that does not run here: why, and what would help."""

    api: str
    provider_id: str
    provider_type: str
    reason: str
    fix: str | None


class Stack(ApiHolder):
    """An open stack. Its APIs are attributes: `await stack.inference.chat_completion(model=…, messages=[…])`.

    Made by `Stack.open`, never directly.
    """

    def __init__(self, config: RunConfig, providers: Mapping[Key, Provider], spending: Spending) -> None:
        self.config = config
        self.loop = asyncio.get_running_loop()
        self.spans = MemorySink(content=config.telemetry.content)
        self._history: SpanSource = self.spans
        self.spending = spending
        self._providers = providers
        self._missing_stores: list[Unavailable] = []
        self._door: Door | None = None

    @staticmethod
    def open(
        source: str | Path | Mapping[str, Any] = "notebook", env: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Stack]:
        """`async with Stack.open("starter") as stack:` opens a distribution, a run file, YAML text or a mapping.

        Args:
            env: variables beside the environment (which wins), such as those of a `.env` file.

        Raises:
            ConfigError: with every mistake and its place; nothing is left open.
        """
        return _open(source, env)

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """Carry out a declared route (the door of `apis/_bind.py`)."""
        if self._door is None:
            raise Unsupported("the stack is still opening")
        return await self._door.call(route, args)

    async def traces(self, limit: int = 20) -> list[Trace]:
        """The last calls from outside with what they caused, newest first."""
        return await traces(self._history, limit=limit)

    async def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace, by start; the first digits of its id are enough.

        Raises:
            NotFound: there is no such trace.
        """
        return await spans(self._history, trace_id)

    @property
    def providers_by_key(self) -> Mapping[Key, Provider]:
        """(API, provider id) → provider, with those that did not start."""
        return self._providers

    @property
    def unavailable(self) -> list[Unavailable]:
        """What the run file has and cannot run here."""
        rows = [
            Unavailable(p.api, p.provider_id, p.provider_type, p.error.message, p.error.hint)
            for p in self._providers.values()
            if p.error is not None
        ]
        return rows + self._missing_stores + _idle_sections(self.config)


@asynccontextmanager
async def _open(source: str | Path | Mapping[str, Any], env: Mapping[str, str] | None) -> AsyncIterator[Stack]:
    config = load_config(source, env)
    _refuse_unset(config)
    _set_log_levels(config.logging or {})
    drawn = plan(config)
    for provider in drawn.providers.values():
        provider.config = redact(provider.config)
    access = Access((config.server.auth or {}).get("access_policy") or [])
    async with AsyncExitStack() as exits:
        stores = _Stores(config, await exits.enter_async_context(Backends(config.storage.backends)))
        rates = {m.model_id: m.metadata["price"] for m in config.registered_resources.models if "price" in m.metadata}
        stack = Stack(config, drawn.providers, Spending(config.budget, rates))
        await _assemble(stack, stores, access, exits)
        await build(drawn, exits, Injection(lambda api: Bound(api, stack), stores.provider_kv, stores.provider_sql))
        yield stack


async def _assemble(stack: Stack, stores: _Stores, access: Access, exits: AsyncExitStack) -> None:
    """Give the stack its door: the middleware in order, and who answers what."""
    config = stack.config
    inference = {name: p for (api, name), p in stack._providers.items() if api == "inference"}
    only = next(iter(inference)) if len(inference) == 1 else None
    registered = configured(config.registered_resources.models, only)
    off = {row.provider_id: row.variable for row in config.off if row.api == "inference"}
    models = ModelRouter(ResourceTable("model", Model, stores.metadata(), registered), inference, off)
    completions = Completions(*await stores.completions())
    about = About(list(stack._providers.values()))
    middleware = [access.middleware, stack.spending.middleware, completions.middleware]
    if config.telemetry.enabled:
        sinks: list[MemorySink | SqliteSink] = [stack.spans, *stores.span_sinks()]
        stack._history = sinks[-1]  # what is kept longest
        scrub = scrubber(config.secrets())
        telemetry = await exits.enter_async_context(
            Telemetry(sinks, config.name, scrub=scrub, price=stack.spending.cost)
        )
        middleware.insert(0, telemetry.middleware)
    unkeyed = {"models": models, "inference": completions, "providers": about, "inspect": about}
    stack._missing_stores = stores.missing
    stack._door = Dispatcher({"model": models}, unkeyed, middleware)


class _Stores:
    """The stores of a run file. A backend that this version does not have is noted, and what needs it does without."""

    def __init__(self, config: RunConfig, backends: Backends) -> None:
        self._storage, self._backends = config.storage, backends
        self._content = config.telemetry.content
        self.missing: list[Unavailable] = []

    def metadata(self) -> KeyValue | None:
        """Where registrations are kept."""
        reference = self._storage.stores.metadata
        return self._kv(reference.backend, reference.namespace or "registry") if reference else None

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

    def provider_kv(self, namespace: str) -> KeyValue:
        """A provider's own part of the first key-value backend."""
        return self._backends.kv(self._first("kv_"), namespace)

    def provider_sql(self) -> Sql:
        """The first table backend."""
        return self._backends.sql(self._first("sql_"))

    def _first(self, prefix: str) -> str:
        for name, backend in self._storage.backends.items():
            if str(backend.get("type", "")).startswith(prefix):
                return name
        raise ConfigError(f"no backend of type {prefix}…", f"add one of type {prefix}sqlite", where="storage.backends")

    def _kv(self, backend: str, namespace: str) -> KeyValue | None:
        return self._backends.kv(backend, namespace) if self._here(backend) else None

    def _sql(self, reference: StoreReference) -> Sql | None:
        return self._backends.sql(reference.backend) if self._here(reference.backend) else None

    def _here(self, backend: str) -> bool:
        """Whether this version has the backend's type; notes it where not."""
        kind = str(self._storage.backends.get(backend, {}).get("type"))
        if kind not in LATER:
            return True
        row = Unavailable(
            "storage", backend, kind, f"{kind} is not available in this version", "use kv_sqlite, sql_sqlite"
        )
        if row not in self.missing:
            self.missing.append(row)
        return False


def _refuse_unset(config: RunConfig) -> None:
    if not config.unset:
        return
    names = list(dict.fromkeys(missing.name for missing in config.unset))
    hint = "; ".join(f"export {name}=…" for name in names)
    first, *others = config.unset
    more = "".join(f"; {missing.where}: {missing.name} is not set" for missing in others)
    raise ConfigError(f"the variable {first.name} is not set{more}", hint, where=first.where)


def _idle_sections(config: RunConfig) -> list[Unavailable]:
    """Sections of the run file that belong to APIs of later versions, so that nothing is read and silently left."""
    given = {
        name: getattr(config, name)
        for name in ("vector_stores", "safety", "external_providers_dir", "external_apis_dir")
    }
    given |= {
        f"registered_resources.{kind}": rows for kind, rows in (config.registered_resources.model_extra or {}).items()
    }
    return [
        Unavailable("config", name, "section", f"{name} has no effect in this version", None)
        for name, value in given.items()
        if value
    ]


def _set_log_levels(levels: Mapping[str, Any]) -> None:
    """The run file's `logging`: part of the core (`all`, `server`, …) → level. The root logger stays as it is.

    Raises:
        ConfigError: a level that logging does not know.
    """
    known = logging.getLevelNamesMapping()
    for part, level in levels.items():
        if str(level).upper() not in known:
            raise ConfigError(
                f"{level!r} is no log level", f"one of {', '.join(sorted(known)).lower()}", where=f"logging.{part}"
            )
        logging.getLogger("stack_core" if part in ("all", "core") else f"stack_core.{part}").setLevel(
            str(level).upper()
        )
