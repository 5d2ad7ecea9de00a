"""Providers and APIs of third parties that a run file names by folder, in Llama Stack's YAML.

`external_providers_dir` has `remote/<api>/<name>.yaml` and `inline/<api>/<name>.yaml`; `external_apis_dir` has
`<name>.yaml`. Reading them imports nothing: a module is imported when its type or API is asked for. What such a file
names is findable in the whole process from then on, like an installed package.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Optional

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack_core import apis
from stack_core.errors import ConfigError, MissingPackage, nearest
from stack_core.providers import _registry
from stack_core.providers._registry import ProviderSpec
from stack_core.yaml_text import read_yaml

_KINDS = ("remote", "inline")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProviderFile(_File):
    """One provider. Of a remote one, Llama Stack also writes the first five fields under `adapter`.

    `module` either declares providers with `@provider` when it is imported, or has `get_provider_impl(config, deps)`
    (inline) or `get_adapter_impl(config, deps)` (remote), which gives the provider; `deps` maps API names to APIs.
    """

    module: str
    adapter_type: str | None = Field(None, description="The name in `remote::name`; the file's name where left out.")
    config_class: str | None = Field(None, description="module.Class of the config; needed with `get_…_impl`.")
    pip_packages: list[str] = []
    description: str | None = None
    api_dependencies: list[str] = []
    optional_api_dependencies: list[str] = []
    provider_data_validator: str | None = Field(None, description="Read and not needed: keys are passed as they come.")
    container_image: None = None


class ApiFile(_File):
    """One API: the module with its Protocol, whose methods are marked with `@route`."""

    module: str
    name: str
    protocol: str
    pip_packages: list[str] = []


def load(providers_dir: str | None, apis_dir: str | None) -> None:
    """Make findable what the two folders declare.

    Raises:
        ConfigError: a folder that is none, or a file that declares nothing sensible; names it.
    """
    if apis_dir:
        for path in sorted(_folder(apis_dir, "external_apis_dir").glob("*.yaml")):
            row = _read(path, ApiFile)
            apis.register(row.name, row.module, row.protocol)
    if providers_dir:
        folder = _folder(providers_dir, "external_providers_dir")
        for kind in _KINDS:
            for path in sorted(folder.glob(f"{kind}/*/*.yaml")):
                _declare(path, kind)


def _folder(path: str, where: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{path} is not a folder", "make it, or remove the setting", where=where)
    return folder


def _read(path: Path, shape: type[Any]) -> Any:
    raw = read_yaml(path.read_text("utf-8"), str(path))
    data = dict(raw) if isinstance(raw, dict) else {}
    adapter = data.pop("adapter", None)
    try:
        return shape.model_validate({**data, **(adapter if isinstance(adapter, dict) else {})})
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(
            f"{path}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}",
            f"it takes {', '.join(shape.model_fields)}",
        ) from error


def _declare(path: Path, kind: str) -> None:
    api = path.parent.name
    if api not in _registry.api_names():
        close = nearest(api, _registry.api_names())
        raise ConfigError(f"{path}: {api!r} is no API", f"did you mean {close[0]!r}?" if close else None)
    row: ProviderFile = _read(path, ProviderFile)
    type_id = f"{kind}::{(row.adapter_type if kind == 'remote' else None) or path.stem}"
    _registry.register_later(api, type_id, lambda: _spec(api, type_id, row, path))


def _spec(api: str, type_id: str, row: ProviderFile, path: Path) -> ProviderSpec:
    """The declaration, now that somebody asks for it.

    Raises:
        MissingPackage: the module is not installed.
        ConfigError: it is there and declares nothing of this type.
    """
    module = _imported(row.module, type_id, row.pip_packages)
    maker = "get_adapter_impl" if type_id.startswith("remote") else "get_provider_impl"
    make = getattr(module, maker, None)
    if make is None:
        if (declared := _registry.declared(api, type_id)) is None:
            raise ConfigError(
                f"{path}: {row.module} declares no {type_id}",
                f'mark a class with @provider("{type_id}"), or write {maker}(config, deps)',
            )
        return declared
    if row.config_class is None:
        raise ConfigError(f"{path}: config_class is missing", f"the config model of {row.module}")
    holder, _, name = row.config_class.rpartition(".")
    config = getattr(_imported(holder, type_id, row.pip_packages), name, None)
    if not (isinstance(config, type) and issubclass(config, BaseModel)):
        raise ConfigError(f"{path}: config_class {row.config_class} is no Pydantic model")
    return ProviderSpec(
        api,
        type_id,
        _factory(make, row.api_dependencies, row.optional_api_dependencies),
        config,
        doc=row.description or inspect.getdoc(make) or "",
        requirements=tuple(row.pip_packages),
    )


def _imported(name: str, needed_by: str, packages: list[str]) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        package = " ".join(packages) if packages and name.startswith(missing) else missing
        raise MissingPackage(package, needed_by=needed_by) from error


def _factory(
    make: Callable[[Any, Mapping[str, Any]], Awaitable[Any]], needed: list[str], wished: list[str]
) -> Callable[..., Any]:
    """A factory whose signature says what the file says, which is what the resolver reads."""

    async def factory(config: Any, **given: Any) -> Any:
        instance = await make(config, given)
        if hasattr(instance, "initialize"):
            await instance.initialize()
        return instance

    kinds: dict[str, Any] = {api: apis.protocol(api) for api in needed}
    kinds |= {api: Optional[apis.protocol(api)] for api in wished}  # noqa: UP045 - a type made at run time
    factory.__annotations__ = kinds
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("config", *kinds)]
    factory.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect reads first
    return factory
