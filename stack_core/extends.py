"""`extends:` a run file says what it adds to another one, and what it does without.

    extends: starter
    name: lab
    without: [post_training/torchtune-cpu]
    providers: {vector_io: qdrant}

Mappings are merged key by key, and a null inside a section takes a key away; a mapping whose `type` differs replaces
the one before.
Rows with an id (providers, models, shields, …) are merged by it: the same id replaces, a new one is added. Other lists
and values replace. What the base keeps in a folder of its own name is kept in a folder of the new name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stack_core.errors import ConfigError, nearest
from stack_core.short_form import CONDITIONAL

Full = dict[str, Any]
_IDS = ("provider_id", "benchmark_id", "model_id", "shield_id", "dataset_id", "scoring_fn_id", "toolgroup_id",
        "vector_store_id", "vector_db_id", "connector_id")  # fmt: skip
_KINDS = ("type", "provider_type")


def extend(base: Full, added: Full, *, without: Any = None) -> Full:
    """The base with what is added; both in the full form, before substitution.

    Args:
        without: `api/provider_id` of the base's providers, and `kind/id` of its resources, that are left out.

    Raises:
        ConfigError: `without` is no list of such texts, or names what the base does not have.
    """
    kept = _without(base, without)
    moved = _moved(kept, f"/distributions/{base['image_name']}", f"/distributions/{added['image_name']}")
    merged: Full = _merged(moved, added)
    if base.get("apis") is not None and not added.get("apis"):
        merged["apis"] = list(dict.fromkeys([*base["apis"], *added["providers"]]))
    return merged


def chain(raw: Mapping[str, Any], read: Callable[[str], tuple[Mapping[str, Any], str]]) -> list[Mapping[str, Any]]:
    """What a run file extends, the first base first, then itself.

    Args:
        read: gives what a name stands for, and a name by which the same file is known again.

    Raises:
        ConfigError: the files extend each other in a circle.
    """
    links: list[Mapping[str, Any]] = [raw]
    seen: list[str] = []
    while (name := links[0].get("extends")) is not None:
        if not isinstance(name, str):
            raise ConfigError("must be a distribution's name or a file", "for instance `starter`", where="extends")
        found, known_as = read(name)
        if known_as in seen:
            raise ConfigError(f"run files extend each other in a circle: {' → '.join([*seen, known_as])}",
                              where="extends")  # fmt: skip
        seen.append(known_as)
        links.insert(0, found)
    return links


def _without(base: Full, names: Any) -> Full:
    if not names:
        return base
    if not isinstance(names, list):
        raise ConfigError("must be a list", "for instance `without: [safety/code-scanner]`", where="without")
    sections = {name: base.get(name) or {} for name in ("providers", "registered_resources")}
    known = {f"{kind}/{_id(row)}" for rows in sections.values() for kind in rows for row in rows[kind] or ()}
    for index, name in enumerate(names):
        if name not in known:
            close = nearest(str(name), known)
            hint = f"did you mean {' or '.join(close)}?" if close else "write api/provider_id"
            raise ConfigError(f"{name!r} is not in what is extended", hint, where=f"without[{index}]")
    left = {
        name: {kind: [row for row in rows or () if f"{kind}/{_id(row)}" not in names] for kind, rows in section.items()}
        for name, section in sections.items()
    }
    left["providers"] = {api: rows for api, rows in left["providers"].items() if rows}
    return {**base, **left}


def _moved(value: Any, old: str, new: str) -> Any:
    """Texts with the base's own folder replaced; `/distributions/lab2` is not in `/distributions/lab`."""
    if isinstance(value, dict):
        return {key: _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, old, new) for item in value]
    if not isinstance(value, str):
        return value
    for end in ("/", "}"):
        value = value.replace(old + end, new + end)
    return value.removesuffix(old) + new if value.endswith(old) else value


def _merged(before: Any, after: Any) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        if any(before.get(kind) != after[kind] for kind in _KINDS if kind in after):
            return after
        both = {key: _merged(before[key], value) if key in before else value for key, value in after.items()}
        return {key: value for key, value in {**before, **both}.items() if after.get(key, 0) is not None}
    if isinstance(before, list) and isinstance(after, list) and all(_id(row) for row in [*before, *after]):
        rows = {_id(row): row for row in before}
        return list((rows | {_id(row): row for row in after}).values())
    return after


def _id(row: Any) -> str | None:
    """A row's own id; of one that a variable switches on, the id that it has then. A row of another kind names its
    provider too, so a provider's id counts only where it stands for the row itself."""
    if not isinstance(row, dict):
        return None
    own = _IDS[:1] if "provider_type" in row else _IDS[1:]
    found = next((str(row[name]) for name in own if row.get(name)), None)
    match = CONDITIONAL.fullmatch(found) if found else None
    return match[2] if match else found
