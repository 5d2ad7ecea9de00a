"""The notebook's short form of a run file, and what it expands to.

    name: lab
    providers: {inference: [ollama, "openai?"], vector_io: faiss}
    models: {fast: ollama/llama3.2:3b, smart: openai/gpt-4o}
    default: fast

A provider may be a bare name, a name with `?` (only if its variable is set), a name with its config, or a full entry,
so that both forms mix. What is already in the full form passes unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stack_core.errors import ConfigError, UnknownProvider, nearest

STORE_DIR = "${env.SQLITE_STORE_DIR:=~/.llama/distributions/%s}"
_ENTRY = {"provider_id", "provider_type", "config", "module"}


def expand(raw: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The full form, before substitution.

    Raises:
        ConfigError: a part has the wrong shape, or a short name fits no provider.
    """
    data = dict(raw)
    name = data.pop("name", None) or data.pop("distro_name", None)
    data["image_name"] = str(data.get("image_name") or name or "notebook")
    data.pop("distro_name", None)
    data["providers"] = _providers(data.get("providers"), env)
    if "models" in data:
        _models(data, data.pop("models"))
    if "default" in data:
        data["default_model"] = data.pop("default")
    if data.get("storage") is None:
        data["storage"] = default_storage(data["image_name"])
    return data


def default_storage(name: str) -> dict[str, Any]:
    """Two SQLite files in the user's folder, as the distributions of Llama Stack have them."""
    folder = STORE_DIR % name
    return {
        "backends": {
            "kv_default": {"type": "kv_sqlite", "db_path": f"{folder}/kvstore.db"},
            "sql_default": {"type": "sql_sqlite", "db_path": f"{folder}/sql_store.db"},
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
        str(api): [_entry(str(api), item, where) for item, where in _items(str(api), rows)]
        for api, rows in given.items()
    }


def _items(api: str, rows: Any) -> list[tuple[Any, str]]:
    where = f"providers.{api}"
    if isinstance(rows, list):
        return [(row, f"{where}[{i}]") for i, row in enumerate(rows)]
    if isinstance(rows, dict) and not rows.keys() & _ENTRY:
        return [({key: value}, f"{where}.{key}") for key, value in rows.items()]
    return [] if rows is None else [(rows, where)]


def _entry(api: str, item: Any, where: str) -> dict[str, Any]:
    """One provider in the full form."""
    if isinstance(item, dict) and "provider_type" in item:
        return {"provider_id": item["provider_type"].rpartition("::")[2], **item} if "provider_id" not in item else item
    if isinstance(item, str):
        name, config = item, None
    elif isinstance(item, dict) and len(item) == 1:
        ((name, config),) = item.items()
    else:
        raise ConfigError(
            "a provider is a name, `name: {config}` or an entry with provider_type",
            "for instance `- ollama` or `- ollama: {url: http://localhost:11434}`",
            where=where,
        )
    if config is not None and not isinstance(config, dict):
        raise ConfigError(f"the config of {name} must be a mapping", where=where)
    return _named(api, name, config or {}, where)


def _named(api: str, name: str, config: dict[str, Any], where: str) -> dict[str, Any]:
    from stack_core.providers import _registry

    bare = name.removesuffix("?")
    provider_id = bare.rpartition("::")[2]
    type_id = bare if "::" in bare else _type_of(api, bare, where)
    sample = _registry.sample(api, type_id)
    variable = _registry.switch(api, type_id)
    if name.endswith("?") and variable:
        provider_id = f"${{env.{variable}:+{provider_id}}}"
    return {"provider_id": provider_id, "provider_type": type_id, "config": {**sample, **config}}


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


def _models(data: dict[str, Any], models: Any) -> None:
    """`models: {alias: provider/model}` as registrations; a first one is the default where none is named."""
    if not isinstance(models, dict):
        raise ConfigError(
            "must map aliases to model ids", "for instance `models: {fast: ollama/llama3.2:3b}`", where="models"
        )
    rows = []
    for alias, target in models.items():
        spec = dict(target) if isinstance(target, dict) else {"model": target}
        provider_id, slash, upstream = str(spec.pop("model", "")).partition("/")
        if not slash:
            raise ConfigError(
                f"the model of {alias!r} must be provider_id/model",
                "for instance ollama/llama3.2:3b",
                where=f"models.{alias}",
            )
        rows.append({"model_id": str(alias), "provider_id": provider_id, "provider_model_id": upstream, **spec})
    resources = dict(data.get("registered_resources") or {})
    resources["models"] = [*(resources.get("models") or []), *rows]
    data["registered_resources"] = resources
    if rows and "default" not in data and "default_model" not in data:
        data["default_model"] = rows[0]["model_id"]
