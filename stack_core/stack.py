"""Open a distribution: stores, telemetry, providers and the door, built in order and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from stack_core import builtin
from stack_core.apis._bind import ApiHolder, Bound, Door
from stack_core.apis._declare import Route
from stack_core.apis.models import Model
from stack_core.builtin._ground import Ground
from stack_core.config import RunConfig, load_config
from stack_core.errors import ConfigError, Unsupported
from stack_core.redaction import redact, scrubber
from stack_core.resolver import Injection, Key, Provider, build, plan, serving
from stack_core.resources import ResourceTable
from stack_core.routers.about import About
from stack_core.routers.access import Access
from stack_core.routers.budget import Spending
from stack_core.routers.completions import Completions
from stack_core.routers.dispatch import Dispatcher
from stack_core.routers.models import ModelRouter, configured
from stack_core.storage.backends import Backends
from stack_core.stores import Stores
from stack_core.telemetry.middleware import Telemetry
from stack_core.telemetry.sinks import MemorySink, SqliteSink
from stack_core.telemetry.spans import Span, SpanSource, Trace, spans, traces


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
        self._parts: dict[str, Any] = {}
        self._stores: Stores | None = None
        self._ground: Ground | None = None
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
            if p.error is not None and p.declared
        ]
        if self._stores is not None:
            rows += [Unavailable("storage", *missing) for missing in self._stores.missing]
        return rows + _idle_sections(self.config)

    def _of(self, api: str) -> dict[str, Provider]:
        """The configured providers of an API by id."""
        return {provider.provider_id: provider for provider in self._providers.values() if provider.api == api}

    def _lookup(self, key: str) -> Any:
        """The part of the stack that finds the provider of a route with this key."""
        return self._part("models" if key == "model" else builtin.KEYS[key])

    def _answering(self, api: str) -> Any:
        """Who answers the routes of an API that have no key.

        Raises:
            Unsupported: no provider of it is configured, or this version has none.
        """
        if api in self._parts or api in builtin.PARTS:
            return self._part(api)
        return serving(api, self._of(api)).required()

    def _part(self, api: str) -> Any:
        if api not in self._parts:
            assert self._ground is not None
            same = (other for other in self._parts if builtin.PARTS.get(other) == builtin.PARTS[api])
            shared = next(same, None)  # one part may serve two APIs
            self._parts[api] = self._parts[shared] if shared else builtin.make(api, self._ground)
        return self._parts[api]


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
        stores = Stores(config, await exits.enter_async_context(Backends(config.storage.backends)))
        rates = {m.model_id: m.metadata["price"] for m in config.registered_resources.models if "price" in m.metadata}
        stack = Stack(config, drawn.providers, Spending(config.budget, rates))
        await _assemble(stack, stores, access, exits)
        await build(drawn, exits, Injection(lambda api: Bound(api, stack), stores.provider_kv, stores.provider_sql))
        yield stack


async def _assemble(stack: Stack, stores: Stores, access: Access, exits: AsyncExitStack) -> None:
    """Give the stack its door: the middleware in order, and who answers what."""
    config = stack.config
    inference = stack._of("inference")
    only = next(iter(inference)) if len(inference) == 1 else None
    registered = configured(config.registered_resources.models, only)
    off = {row.provider_id: row.variable for row in config.off if row.api == "inference"}
    models = ModelRouter(ResourceTable("model", Model, stores.metadata(), registered), inference, off)
    completions = Completions(*await stores.completions())
    about = About(list(stack._providers.values()))
    middleware = [access.middleware, stack.spending.middleware, completions.middleware, models.middleware]
    if config.telemetry.enabled:
        sinks: list[MemorySink | SqliteSink] = [stack.spans, *stores.span_sinks()]
        stack._history = sinks[-1]  # what is kept longest
        scrub = scrubber(config.secrets())
        telemetry = await exits.enter_async_context(
            Telemetry(sinks, config.name, scrub=scrub, price=stack.spending.cost)
        )
        middleware.insert(0, telemetry.middleware)
    stack._parts = {"models": models, "inference": completions, "providers": about, "inspect": about}
    stack._stores, stack._ground = stores, _ground(stack, stores, exits)
    stack._door = Dispatcher(stack._lookup, stack._answering, middleware)


def _ground(stack: Stack, stores: Stores, exits: AsyncExitStack) -> Ground:
    def on_close(ending: Callable[[], Awaitable[None]]) -> None:
        exits.push_async_callback(ending)

    return Ground(
        bound=lambda api: getattr(stack, api),
        providers=stack._of,
        registered=stack.config.registered_resources.rows,
        section=lambda name: getattr(stack.config, name, None) or {},
        kv=stores.kv,
        sql=stores.sql,
        traces=lambda: stack._history,
        on_close=on_close,
    )


def _refuse_unset(config: RunConfig) -> None:
    if not config.unset:
        return
    names = list(dict.fromkeys(missing.name for missing in config.unset))
    hint = "; ".join(f"export {name}=…" for name in names)
    first, *others = config.unset
    more = "".join(f"; {missing.where}: {missing.name} is not set" for missing in others)
    raise ConfigError(f"the variable {first.name} is not set{more}", hint, where=first.where)


def _idle_sections(config: RunConfig) -> list[Unavailable]:
    """Sections of the run file that nobody reads in this version, so that nothing is read and silently left."""
    rest = {name: value for name, value in (config.safety or {}).items() if name != "default_shield_id"}
    given: dict[str, Any] = {"safety": rest}
    given |= {
        f"registered_resources.{kind}": rows
        for kind, rows in (config.registered_resources.model_extra or {}).items()
        if kind not in builtin.RESOURCES
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
