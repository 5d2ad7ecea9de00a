"""Find a provider by (api, type), lazily: its module is imported when a run file names it.

A type id says where its module is: `inline::llama-cpp` of `inference` is `providers/inference/llama_cpp.py`. Services
that differ only by data stand in an API's `rows.py`. Third parties register with the same decorator, through the
entry-point group `stack_core.providers` (entry name `api/type`, value the module) or by `module:` in the run file.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, TypeVar

from pydantic import BaseModel

from stack_core.apis import APIS, module_of, protocol
from stack_core.apis._declare import api_name
from stack_core.errors import MissingPackage, UnknownProvider, Unsupported, nearest
from stack_core.providers._planned import PLANNED
from stack_core.redaction import is_secret

T = TypeVar("T", bound=type)
ConfigModel = type[BaseModel]
GROUP = "stack_core.providers"
_VARIABLE = re.compile(r"\$\{env\.([A-Z0-9_]+)")


@dataclass(frozen=True)
class ProviderSpec:
    """A declared provider. `factory` takes its `config` and whatever else its annotations ask for."""

    api: str
    type: str
    factory: Callable[..., Any]
    config: ConfigModel
    packages: tuple[str, ...] = ()
    extra: str | None = None
    doc: str = ""
    sample: Mapping[str, Any] = field(default_factory=dict)
    """The config that the notebook's short form writes for a bare name, with `${env.…}` where a variable is read and
    `__distro_dir__` for the folder of the stack, as in Llama Stack's sample configs."""
    requirements: tuple[str, ...] = ()
    """What pip needs for it, where neither `extra` nor the import names say so."""
    variable: str = ""
    """The variable of `sample` that says whether the service is set up, where that is not its key's."""

    def missing(self) -> list[str]:
        """Import names of needed packages that are not installed (nothing is imported)."""
        return [name for name in self.packages if find_spec(name) is None]


_found: dict[tuple[str, str], ProviderSpec] = {}
_later: dict[tuple[str, str], Callable[[], ProviderSpec]] = {}
"""Specs that are made when asked for: dozens of services share a class, and most run files name a few."""


def provider(
    type_id: str, *, packages: tuple[str, ...] = (), extra: str | None = None, sample: Mapping[str, Any] | None = None
) -> Callable[[T], T]:
    """Declare a class to be the provider of this type. The API comes from the Protocol among its bases, the config
    model is its `Config`, the dependencies are its constructor's annotations.

    Args:
        type_id: such as `inline::llama-cpp` or `remote::qdrant`.
        packages: import names of optional packages.
        extra: the extra of this distribution that installs them.
        sample: the config of the short form (see `ProviderSpec.sample`).
    """

    def declare(cls: T) -> T:
        api = next(
            api_name(base)
            for base in cls.__mro__
            if getattr(base, "_is_protocol", False) and base is not typing.Protocol
        )
        config: ConfigModel = getattr(cls, "Config")  # noqa: B009 - absent on `type`, so a plain attribute does not check
        register(ProviderSpec(api, type_id, cls, config, packages, extra, inspect.getdoc(cls) or "", sample or {}))
        return cls

    return declare


def register(spec: ProviderSpec) -> ProviderSpec:
    """Make a spec findable; the last one of a type wins, so that a module may be reloaded."""
    _found[spec.api, spec.type] = spec
    return spec


def register_later(api: str, type_id: str, make: Callable[[], ProviderSpec]) -> None:
    """Make a type findable whose spec is made when it is first asked for."""
    _found.pop((api, type_id), None)
    _later[api, type_id] = make


def find(api: str, type_id: str, module: str | None = None) -> ProviderSpec:
    """The provider of this type.

    Raises:
        Unsupported: the type is known but this version has no provider for it yet.
        UnknownProvider: no such type; names the nearest.
        MissingPackage: a third party's module that is not installed.
    """
    key = (api, type_id)
    if module_of(api) is not None:
        protocol(api)  # its classes then know which API they are of
    if not _declared(key):
        for name in [module] if module else _candidates(api, type_id):
            _load(name, required=bool(module))
            if _declared(key):
                break
    if _declared(key):
        return _found.get(key) or register(_later[key]())
    if f"{api}/{type_id}" in PLANNED:
        raise Unsupported(f"{type_id} ({api}) is not available in this version")
    close = nearest(type_id, types(api))
    raise UnknownProvider(
        f"no {api} provider has the type {type_id!r}",
        f"did you mean {' or '.join(close)}?" if close else "stack-core list-providers shows all types",
    )


def declared(api: str, type_id: str) -> ProviderSpec | None:
    """The provider of this type that a module declared with the decorator, if one did."""
    return _found.get((api, type_id))


def known(api: str) -> list[ProviderSpec]:
    """Every provider of an API that is at hand, by type."""
    if module_of(api) is not None:
        protocol(api)
    for name in [*_modules(api), *(point.module for point in _entry_points() if point.name.startswith(f"{api}/"))]:
        _load(name, required=False)
    keys = sorted({key for key in (*_found, *_later) if key[0] == api})
    return [spec for key in keys if (spec := _found.get(key) or _made(key)) is not None]


def _made(key: tuple[str, str]) -> ProviderSpec | None:
    """The spec of a type that is made when asked for; None where a third party's module is not installed."""
    try:
        return register(_later[key]())
    except MissingPackage:
        return None


def types(api: str) -> set[str]:
    """Every type id of an API: at hand, or planned."""
    return {spec.type for spec in known(api)} | {
        name.split("/", 1)[1] for name in PLANNED if name.startswith(f"{api}/")
    }


def api_names() -> set[str]:
    """Every API that a run file may name: declared here, or planned."""
    return set(APIS) | {name.split("/", 1)[0] for name in PLANNED}


def sample(api: str, type_id: str) -> Mapping[str, Any]:
    """The short form's config of a type; empty for one that is not at hand."""
    try:
        return find(api, type_id).sample
    except (UnknownProvider, Unsupported):
        return {}


def switch(api: str, type_id: str) -> str | None:
    """The environment variable whose presence says that a service is set up: its own word, else its key's variable,
    else its address's."""
    try:
        spec = find(api, type_id)
    except (UnknownProvider, Unsupported):
        return None
    read = {name: match[1] for name, text in spec.sample.items() if (match := _VARIABLE.match(str(text)))}
    first = next(iter(read.values()), None)
    return spec.variable or next((read[name] for name in read if is_secret(name)), first)


def dependencies(spec: ProviderSpec) -> dict[str, tuple[Any, bool]]:
    """Constructor parameter → (annotation, required), the config left out."""
    made_by_class = inspect.isclass(spec.factory)
    target = spec.factory.__init__ if made_by_class else spec.factory
    hints = typing.get_type_hints(target, localns=dict(vars(spec.factory)) if made_by_class else None)
    out: dict[str, tuple[Any, bool]] = {}
    for name in inspect.signature(spec.factory).parameters:
        annotation = hints.get(name, Any)
        if name == "config":
            continue
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        optional = len(parts) == 1 and type(None) in typing.get_args(annotation)
        out[name] = (parts[0], False) if optional else (annotation, True)
    return out


def is_api(annotation: Any) -> bool:
    """Whether an annotation is the Protocol of one of the declared APIs."""
    return (
        isinstance(annotation, type)
        and getattr(annotation, "_is_protocol", False)
        and (api_name(annotation) in APIS and protocol(api_name(annotation)) is annotation)
    )


def _declared(key: tuple[str, str]) -> bool:
    return key in _found or key in _later


def _candidates(api: str, type_id: str) -> Iterator[str]:
    for point in _entry_points():
        if point.name == f"{api}/{type_id}":
            yield point.module
    if (module := module_of(api)) is not None:
        yield module
    folder = f"stack_core.providers.{api}"
    yield f"{folder}.{type_id.rpartition('::')[2].replace('-', '_')}"
    yield f"{folder}.rows"


def _modules(api: str) -> Iterator[str]:
    spec = find_spec(f"stack_core.providers.{api}")
    if spec is not None and spec.submodule_search_locations:
        for module in pkgutil.iter_modules(spec.submodule_search_locations):
            if not module.name.startswith("_"):
                yield f"stack_core.providers.{api}.{module.name}"


def _entry_points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=GROUP))


def _load(name: str, *, required: bool) -> None:
    """Import a provider module. One that does not exist is no fault when it was only a guess from the type id."""
    if name.startswith("."):
        raise UnknownProvider(f"the provider module {name!r} is not absolute", "write it from its package on")
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if required:
            raise UnknownProvider(f"the provider module {name!r} cannot be imported: {error}") from error
        if error.name is None or not name.startswith(error.name):
            raise
