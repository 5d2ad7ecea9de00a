"""From a run configuration to built providers: find each declaration, order by dependency, build, keep what failed.

Mistakes in the file (unknown types, wrong config, cycles) are reported together and nothing is built. A provider that
this version does not have, whose package is missing or that fails to start is kept with its reason, and the rest runs.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from stack_core import external
from stack_core.apis import APIS
from stack_core.apis._declare import api_name
from stack_core.apis.providers import ProviderId
from stack_core.builtin import PARTS
from stack_core.config import ProviderEntry, RunConfig
from stack_core.errors import (
    ConfigError,
    DependencyCycle,
    MissingPackage,
    ProviderUnavailable,
    StackError,
    UnknownProvider,
    Unsupported,
    nearest,
)
from stack_core.providers import _registry
from stack_core.providers._registry import ProviderSpec
from stack_core.storage.kv import KeyValue
from stack_core.storage.references import KVReference, SqlReference
from stack_core.storage.sql import Sql

Key = tuple[str, str]
R = TypeVar("R", KVReference, SqlReference)
SELF_SERVED = frozenset({"models", "providers", "inspect", *PARTS})
"""APIs that the stack itself answers, so that no provider of them is needed."""
DEFAULTS = {"file_processors": "inline::auto", "responses": "inline::builtin"}
"""Provider type of an API that every stack has, also where the run file names none."""
LATE = frozenset({"responses"})
"""Those of them that are built at their first call: their shapes are many, and few notebooks need them at once."""


@dataclass
class Provider:
    """A configured provider: its instance, or why there is none."""

    api: str
    provider_id: str
    provider_type: str
    config: dict[str, Any] = field(default_factory=dict)
    instance: Any = None
    error: StackError | None = None
    declared: bool = True
    """False for what every stack has (see `DEFAULTS`) and the run file does not name."""
    late: Callable[[Provider], None] | None = None
    """Builds it at its first call."""

    def required(self) -> Any:
        """The instance.

        Raises:
            Unsupported: this version does not have it, or its package is not installed.
            ProviderUnavailable: it did not start; says why and what would help.
        """
        if self.error is not None and self.error.status == Unsupported.status:
            raise Unsupported(
                f"{self.provider_id} ({self.api}) is not available: {self.error.message}", self.error.hint
            ) from self.error
        if self.error is not None:
            raise ProviderUnavailable(
                f"{self.provider_id} is not available: {self.error.message}",
                self.error.hint,
                provider_id=self.provider_id,
            ) from self.error
        if self.late is not None:
            build_now, self.late = self.late, None
            build_now(self)
            return self.required()
        return self.instance


@dataclass
class Plan:
    """What stands in the run file, with the declaration and the checked config of each provider that can be built."""

    providers: dict[Key, Provider]
    specs: dict[Key, tuple[ProviderSpec, BaseModel]]
    order: list[Key]
    late: dict[Key, ProviderEntry] = field(default_factory=dict)


@dataclass(frozen=True)
class Injection:
    """What a constructor may ask for by annotation: bound APIs, its own part of the stores, its id."""

    bind: Callable[[type], Any]
    kv: Callable[[KVReference | None, str], KeyValue]
    sql: Callable[[SqlReference | None, str], Sql]

    def arguments(self, provider: Provider, spec: ProviderSpec, config: BaseModel) -> dict[str, Any]:
        """Constructor argument → what is injected for this provider. A store is the one that the config's field of the
        argument's name refers to, and where it says nothing, a part of the first backend."""
        given: dict[str, Any] = {}
        for name, (wanted, _) in _registry.dependencies(spec).items():
            if wanted is ProviderId:
                given[name] = ProviderId(provider.provider_id)
            elif wanted is KeyValue:
                given[name] = self.kv(_reference(config, name, KVReference), f"{provider.api}::{provider.provider_id}")
            elif wanted is Sql:
                given[name] = self.sql(_reference(config, name, SqlReference), f"{provider.api}_{provider.provider_id}")
            elif _registry.is_api(wanted):
                given[name] = self.bind(wanted)
        return given


def plan(config: RunConfig) -> Plan:
    """Check the whole file against the declarations, building nothing.

    Raises:
        ConfigError: every mistake in one error; the first one's class where there is only one.
    """
    external.load(config.external_providers_dir, config.external_apis_dir)
    faults = [_no_api(api, f"apis[{index}]") for index, api in enumerate(config.apis or []) if not _is_api(api)]
    out = Plan({}, {}, [])
    for api, entries in config.providers.items():
        if not _is_api(api):
            faults.append(_no_api(api, f"providers.{api}"))
            continue
        for index, entry in enumerate(entries if config.enabled(api) else []):
            where = f"providers.{api}[{index}]"
            try:
                _add(out, api, entry, where)
            except ConfigError as error:
                faults.append(
                    error if error.where else type(error)(error.message, error.hint, where=f"{where}.provider_type")
                )
    _add_defaults(out, config)
    if faults:
        raise _together(faults)
    out.order = _order(out.specs, {api for api, _ in out.providers} | {off.api for off in config.off})
    return out


def _add_defaults(out: Plan, config: RunConfig) -> None:
    for api, kind in DEFAULTS.items():
        if any(given == api for given, _ in out.providers):
            continue
        entry = ProviderEntry(provider_type=kind, config=_inherited(api, config))
        if api in LATE:
            provider_id = kind.rpartition("::")[2]
            out.providers[api, provider_id] = Provider(api, provider_id, kind, entry.config, declared=False)
            out.late[api, provider_id] = entry
            continue
        _add(out, api, entry, f"providers.{api}")
        for key in [key for key in out.providers if key[0] == api]:
            out.providers[key].declared = False


async def build(drawn: Plan, exits: AsyncExitStack, injection: Injection) -> dict[Key, Provider]:
    """Build every provider of the plan in its order; lifetimes end with `exits`."""
    for key in drawn.order:
        provider = drawn.providers[key]
        spec, config = drawn.specs[key]
        try:
            instance = spec.factory(config=config, **injection.arguments(provider, spec, config))
            if isawaitable(instance):
                instance = await instance
            if isinstance(instance, AbstractAsyncContextManager):
                await exits.enter_async_context(instance)
            elif hasattr(instance, "shutdown"):
                exits.push_async_callback(instance.shutdown)
            provider.instance = instance
        except StackError as error:
            provider.error = error
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
            provider.error = ProviderUnavailable(f"{type(error).__name__}: {error}", provider_id=provider.provider_id)
    for key, entry in drawn.late.items():
        drawn.providers[key].late = partial(_build_late, entry, exits, injection)
    return drawn.providers


def _build_late(entry: ProviderEntry, exits: AsyncExitStack, injection: Injection, provider: Provider) -> None:
    """Build a provider of ours at its first call. It has no lifetime to enter, and may have a `shutdown`."""
    try:
        spec = _registry.find(provider.api, provider.provider_type)
        config = _config(spec, entry, f"providers.{provider.api}")
        provider.instance = spec.factory(config=config, **injection.arguments(provider, spec, config))
    except StackError as error:
        provider.error = error
        return
    if hasattr(provider.instance, "shutdown"):
        exits.push_async_callback(provider.instance.shutdown)


def serving(api: str, providers: Mapping[str, Provider]) -> Provider:
    """The provider that answers an API whose routes name none: the first that started, else the first.

    Raises:
        Unsupported: none is configured; names the types there are.
    """
    for provider in providers.values():
        if provider.error is None:
            return provider
    if providers:
        return next(iter(providers.values()))
    here = sorted(spec.type for spec in _registry.known(api))
    if not here:
        planned = ", ".join(sorted(_registry.types(api)))
        raise Unsupported(f"this version has no provider of {api}" + (f" ({planned} is planned)" if planned else ""))
    raise Unsupported(f"no provider of {api} is configured", f"add one under providers.{api}: {', '.join(here)}")


def _reference(config: BaseModel, name: str, kind: type[R]) -> R | None:
    """The store reference in the config's field of this name, however deep it stands."""
    found = getattr(config, name, None)
    if isinstance(found, kind):
        return found
    inner = (value for field in type(config).model_fields if isinstance(value := getattr(config, field), BaseModel))
    return next((found for part in inner if (found := _reference(part, name, kind)) is not None), None)


def _inherited(api: str, config: RunConfig) -> dict[str, Any]:
    """The config of a default provider. Llama Stack 0.3.5 serves responses from its agents, so what a run file says
    there of where they are kept counts."""
    agents = config.providers.get("agents", ()) if api == "responses" and config.enabled("agents") else ()
    for entry in agents:
        kept = entry.config.get("persistence")
        if entry.provider_type == "inline::meta-reference" and isinstance(kept, dict):
            return {"persistence": kept}
    return {}


def _is_api(name: str) -> bool:
    return name in _registry.api_names()


def _no_api(name: str, where: str) -> ConfigError:
    close = nearest(name, _registry.api_names())
    return ConfigError(f"{name!r} is no API", f"did you mean {close[0]!r}?" if close else None, where=where)


def _add(out: Plan, api: str, entry: ProviderEntry, where: str) -> None:
    provider = Provider(api, str(entry.provider_id or entry.provider_type.rpartition("::")[2]), entry.provider_type)
    key = (api, provider.provider_id)
    if key in out.providers:
        twice = ConfigError(
            f"two {api} providers have the id {provider.provider_id!r}", "give one another provider_id", where=where
        )
        if not _misplaced(api, entry):
            raise twice
        key, provider.error = (api, where), twice
    out.providers[key] = provider
    provider.config = entry.config
    if provider.error is not None:
        return
    if api not in APIS:
        provider.error = Unsupported(f"the API {api} is not available in this version")
        return
    try:
        spec = _registry.find(api, entry.provider_type, entry.module)
    except (Unsupported, MissingPackage) as error:
        provider.error = error
        return
    if missing := spec.missing():
        provider.error = MissingPackage(missing[0], needed_by=entry.provider_type, extra=spec.extra)
        return
    out.specs[key] = (spec, _config(spec, entry, where))


def _misplaced(api: str, entry: ProviderEntry) -> bool:
    """Whether an entry stands under the wrong API: its type exists under another one too, and none of its settings
    belong here. Llama Stack's `nvidia/run-with-safety.yaml` has its guardrails under inference as well."""
    try:
        fields = _registry.find(api, entry.provider_type, entry.module).config.model_fields
    except (Unsupported, UnknownProvider):
        return False
    elsewhere = any(entry.provider_type in _registry.types(other) for other in _registry.api_names() - {api})
    return elsewhere and bool(entry.config) and not entry.config.keys() & fields.keys()


def _config(spec: ProviderSpec, entry: ProviderEntry, where: str) -> BaseModel:
    """The provider's config, checked. A null where the model wants a text stands for an unset variable: left out."""
    given = {name: value for name, value in entry.config.items() if value is not None}
    try:
        return spec.config.model_validate(given)
    except ValidationError as error:
        raise _config_fault(spec, error, where) from error


def _config_fault(spec: ProviderSpec, error: ValidationError, where: str) -> ConfigError:
    names = [f.alias or name for name, f in spec.config.model_fields.items()]
    lines = []
    for fault in error.errors(include_input=False):
        path = ".".join([f"{where}.config", *map(str, fault["loc"])])
        if fault["type"] == "extra_forbidden":
            close = nearest(str(fault["loc"][-1]), names)
            lines.append((path, "unknown field" + (f", did you mean {close[0]!r}?" if close else "")))
        else:
            lines.append((path, fault["msg"]))
    more = "".join(f"; {path}: {message}" for path, message in lines[1:6])
    return ConfigError(lines[0][1] + more, f"{spec.type} takes {', '.join(names)}", where=lines[0][0])


def _together(faults: list[ConfigError]) -> ConfigError:
    if len(faults) == 1:
        return faults[0]
    hints = "; ".join(dict.fromkeys(fault.hint for fault in faults if fault.hint))
    joined = ConfigError(f"{len(faults)} mistakes: " + "; ".join(fault.message for fault in faults), hints or None)
    joined.where = faults[0].where
    return joined


def _order(specs: Mapping[Key, tuple[ProviderSpec, BaseModel]], named: set[str]) -> list[Key]:
    """Providers after those whose API they ask for. What a provider could do without does not make a circle.

    Args:
        named: the APIs with a provider in the file, even if none is on or available: calls to it then say why.

    Raises:
        DependencyCycle: names the circle.
        ConfigError: an API that a provider needs has no provider.
    """
    required: dict[Key, set[Key]] = {key: set() for key in specs}
    wished: dict[Key, set[Key]] = {key: set() for key in specs}
    for key, (spec, _) in specs.items():
        for wanted, needed in _registry.dependencies(spec).values():
            if not _registry.is_api(wanted):
                continue
            api = api_name(wanted)
            serving = {other for other in specs if other[0] == api}
            if needed and not serving and api not in named | SELF_SERVED:
                raise ConfigError(f"{key[1]} needs a provider of {api}", f"add one under providers.{api}")
            (required if needed else wished)[key] |= serving
    try:
        return list(graphlib.TopologicalSorter({key: required[key] | wished[key] for key in specs}).static_order())
    except graphlib.CycleError:
        pass
    try:
        return list(graphlib.TopologicalSorter(required).static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(f"{api}/{name}" for api, name in error.args[1])
        raise DependencyCycle(f"providers need each other in a circle: {circle}", "remove one of them") from error
