"""The notebook's short form of a run file, and what it expands to.

    name: lab
    providers: {inference: [ollama, "openai?"], vector_io: faiss}
    models: {fast: ollama/llama3.2:3b, smart: openai/gpt-4o}
    default: fast

A provider may be a bare name, a name with `?` (only if its variable is set), a name with its config, or a full entry,
so that both forms mix. What is already in the full form passes unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stack_core.errors import ConfigError, UnknownProvider, nearest
from stack_core.substitution import Substitution

FOLDER = "~/.llama/distributions/%s"
"""Where a stack keeps its files, by its name."""
_PLACE = "__distro_dir__"
"""Stands for that folder in the sample configs of providers."""
_ENTRY = {"provider_id", "provider_type", "config", "module"}
_BUILD_ONLY = ("distribution_spec", "image_type", "additional_pip_packages")
_MODEL_FIELDS = ("model", "model_type", "metadata")
CONDITIONAL = re.compile(r"\$\{env\.([A-Z0-9_]+):\+([^}]*)\}")
"""A text that is there only if its variable is set."""


def expand(raw: Mapping[str, Any], env: Mapping[str, str], *, storage: bool = True) -> dict[str, Any]:
    """The full form, before substitution.

    Args:
        storage: whether stores are added where none are given.

    Raises:
        ConfigError: a part has the wrong shape, or a short name fits no provider.
    """
    # A section whose lines are all commented out reads as null: it is not there.
    data = {key: value for key, value in raw.items() if value is not None}
    data["image_name"] = _name(data)
    folder = _folder(str(Substitution(env).apply(data["image_name"], "name")))
    data["providers"] = _filled(_providers(data.get("providers"), env), folder)
    if "models" in data:
        _models(data, data.pop("models"), env)
    if "default" in data:
        data["default_model"] = data.pop("default")
    if storage and data.get("storage") is None:
        data["storage"] = default_storage(folder)
    return data


def from_build_file(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The short form of Llama Stack's build file, which names provider types only: a remote one is on where its
    variable is set.

    Raises:
        ConfigError: a part has the wrong shape.
    """
    spec, where = raw["distribution_spec"], "distribution_spec"
    given = spec.get("providers") if isinstance(spec, dict) else None
    if not isinstance(given, dict):
        raise ConfigError("must have providers: API → list of provider types", where=where)
    providers: dict[str, list[Any]] = {}
    for api, rows in given.items():
        place = f"{where}.providers.{api}"
        written = [row.get("provider_type") if isinstance(row, dict) else row for row in _listed(rows, place)]
        kinds = [kind for kind in written if isinstance(kind, str)]
        if len(kinds) < len(written):
            raise ConfigError("must be a list of provider types", "for instance `- remote::ollama`", where=place)
        providers[str(api)] = [f"{kind}?" if kind.startswith("remote::") else kind for kind in kinds]
    others = {key: value for key, value in raw.items() if key not in _BUILD_ONLY}
    return {"image_name": name, "description": spec.get("description"), **others, "providers": providers}


def _listed(rows: Any, where: str) -> list[Any]:
    if not isinstance(rows, list):
        raise ConfigError("must be a list", where=where)
    return rows


def _name(data: dict[str, Any]) -> str:
    """The stack's name, taken out of its short spellings."""
    short = [data.pop(key, None) for key in ("name", "distro_name")]
    name = data.get("image_name") or short[0] or short[1] or "notebook"
    if isinstance(name, list | dict | bytes):
        raise ConfigError("must be a text", "for instance `name: lab`", where="name")
    return str(name)


def _folder(name: str) -> str:
    """The folder of a stack. A name is no path: it must not lead out of it, nor end a substitution."""
    return FOLDER % (re.sub(r"[^\w. -]", "-", name).strip(". ") or "stack")


def _filled(value: Any, folder: str) -> Any:
    """Provider entries with the stack's folder where a sample config leaves room for it."""
    if isinstance(value, dict):
        return {key: _filled(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, folder) for item in value]
    return value.replace(_PLACE, folder) if isinstance(value, str) else value


def default_storage(folder: str) -> dict[str, Any]:
    """Two SQLite files in the stack's folder, as the distributions of Llama Stack have them."""
    place = f"${{env.SQLITE_STORE_DIR:={folder}}}"
    return {
        "backends": {
            "kv_default": {"type": "kv_sqlite", "db_path": f"{place}/kvstore.db"},
            "sql_default": {"type": "sql_sqlite", "db_path": f"{place}/sql_store.db"},
        },
        "stores": {
            "metadata": {"namespace": "registry", "backend": "kv_default"},
            "inference": {"table_name": "inference_store", "backend": "sql_default"},
        },
    }


def _providers(given: Any, env: Mapping[str, str]) -> dict[str, list[Any]]:
    if given is None:
        given = {"inference": "llama-cpp"}
    if not isinstance(given, dict):
        raise ConfigError(
            "must map APIs to providers", "for instance `providers: {inference: ollama}`", where="providers"
        )
    return {
        str(api): [_entry(str(api), item, env, where) for item, where in _items(str(api), rows)]
        for api, rows in given.items()
    }


def _items(api: str, rows: Any) -> list[tuple[Any, str]]:
    where = f"providers.{api}"
    if isinstance(rows, list):
        return [(row, f"{where}[{i}]") for i, row in enumerate(rows)]
    if isinstance(rows, dict) and not rows.keys() & _ENTRY:
        return [({key: value}, f"{where}.{key}") for key, value in rows.items()]
    return [] if rows is None else [(rows, where)]


def _entry(api: str, item: Any, env: Mapping[str, str], where: str) -> dict[str, Any]:
    """One provider in the full form."""
    if isinstance(item, dict) and isinstance(kind := item.get("provider_type"), str):
        full = {"provider_id": kind.rpartition("::")[2], **item}
        return {**full, "config": {}} if full.get("config") is None else full
    name: Any = None
    config: Any = None
    if isinstance(item, str):
        name = item
    elif isinstance(item, dict) and len(item) == 1:
        ((name, config),) = item.items()
    if not isinstance(name, str) or name in _ENTRY:
        raise ConfigError(
            "a provider is a name, `name: {config}` or an entry with provider_type",
            "for instance `- ollama` or `- ollama: {url: http://localhost:11434}`",
            where=where,
        )
    if config is not None and not isinstance(config, dict):
        raise ConfigError(f"the config of {name} must be a mapping", where=where)
    return _named(api, name, config or {}, env, where)


def _named(api: str, name: str, config: dict[str, Any], env: Mapping[str, str], where: str) -> dict[str, Any]:
    from stack_core.providers import _registry

    condition = CONDITIONAL.fullmatch(name)
    text = condition[2] if condition else _substituted(name, env, where)
    bare = text.removesuffix("?")
    provider_id = bare.rpartition("::")[2]
    type_id = bare if "::" in bare and provider_id else _type_of(api, bare, where)
    sample = _registry.sample(api, type_id)
    variable = condition[1] if condition else _registry.switch(api, type_id) if text.endswith("?") else None
    if variable:
        provider_id = f"${{env.{variable}:+{provider_id}}}"
    return {"provider_id": provider_id, "provider_type": type_id, "config": {**sample, **config}}


def _substituted(text: str, env: Mapping[str, str], where: str) -> str:
    """A short name or model id with its variables, which must be known before it can be taken apart.

    Raises:
        ConfigError: a variable is not set.
    """
    substitution = Substitution(env)
    found = substitution.apply(text, where)
    if substitution.unset:
        name = substitution.unset[0].name
        raise ConfigError(f"the variable {name} is not set", f"export {name}=…", where=where)
    return "" if found is None else str(found)


def _type_of(api: str, name: str, where: str) -> str:
    """`inline::faiss` for `faiss`: the type that ends in the name; an inline one before a remote one."""
    from stack_core.providers import _registry

    types = _registry.types(api)
    for prefix in ("inline", "remote"):
        if f"{prefix}::{name}" in types:
            return f"{prefix}::{name}"
    if not types:
        if api not in _registry.api_names():
            close = nearest(api, _registry.api_names())
            raise ConfigError(
                f"{api!r} is no API",
                f"did you mean {close[0]!r}?" if close else None,
                where=where.split("[", maxsplit=1)[0],
            )
        return f"remote::{name}"
    close = nearest(name, {t.partition("::")[2] for t in types})
    hint = f"did you mean {' or '.join(close)}?" if close else f"{api} has {', '.join(sorted(types))}"
    raise UnknownProvider(f"no {api} provider is called {name!r}", hint, where=where)


def _models(data: dict[str, Any], models: Any, env: Mapping[str, str]) -> None:
    """`models: {alias: provider/model}` as registrations; a first one is the default where none is named."""
    if not isinstance(models, dict):
        raise ConfigError(
            "must map aliases to model ids", "for instance `models: {fast: ollama/llama3.2:3b}`", where="models"
        )
    rows = [row for alias, target in models.items() if (row := _model(str(alias), target, env)) is not None]
    resources = data.get("registered_resources") or {}
    if not isinstance(resources, dict):
        return  # what is wrong with it is told with the other sections
    written = resources.get("models") or []
    data["registered_resources"] = {**resources, "models": [*_listed(written, "registered_resources.models"), *rows]}
    if rows and "default" not in data and "default_model" not in data:
        data["default_model"] = rows[0]["model_id"]


def _model(alias: str, target: Any, env: Mapping[str, str]) -> dict[str, Any] | None:
    """One registration; None where a variable that is not set switches it off."""
    where = f"models.{alias}"
    spec = dict(target) if isinstance(target, dict) else {"model": target}
    for key in spec:
        if key not in _MODEL_FIELDS:
            close = nearest(str(key), _MODEL_FIELDS)
            hint = f"did you mean {close[0]!r}?" if close else f"it may have {', '.join(_MODEL_FIELDS)}"
            raise ConfigError(f"unknown key {str(key)!r}", hint, where=f"{where}.{key}")
    written = spec.pop("model", None)
    text = _substituted(written, env, where) if isinstance(written, str) else ""
    if not text and CONDITIONAL.fullmatch(str(written)):
        return None
    provider_id, slash, upstream = text.partition("/")
    if not (provider_id and slash and upstream):
        raise ConfigError(
            f"the model of {alias!r} must be provider_id/model", "for instance ollama/llama3.2:3b", where=where
        )
    return {"model_id": alias, "provider_id": provider_id, "provider_model_id": upstream, **spec}
