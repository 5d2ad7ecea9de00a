"""Whether plain data fits a JSON Schema: the keywords that schemas for model answers use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(data: Any, schema: Any, root: Mapping[str, Any], where: str = "the answer") -> list[str]:
    """What does not fit, each with its place; empty when all does. `root` resolves `#/…` references."""
    if isinstance(schema, bool):
        return [] if schema else [f"{where} is not allowed"]
    if "$ref" in schema:
        schema = {**_resolve(str(schema["$ref"]), root), **{k: v for k, v in schema.items() if k != "$ref"}}
    return [
        *_kind(data, schema, where),
        *_choices(data, schema, root, where),
        *_limits(data, schema, where),
        *(_object(data, schema, root, where) if isinstance(data, dict) else ()),
        *(_array(data, schema, root, where) if isinstance(data, list) else ()),
    ]


def _resolve(ref: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = root
    for part in ref.removeprefix("#").strip("/").split("/"):
        node = node.get(part, {}) if part and isinstance(node, Mapping) else node
    return node if isinstance(node, Mapping) else {}


def _kind(data: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else wanted or []
    if kinds and not any(_is(data, kind) for kind in kinds):
        yield f"{where} must be {' or '.join(kinds)}, not {type(data).__name__}"


def _is(data: Any, kind: str) -> bool:
    if isinstance(data, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(data, float):
        return data.is_integer()
    return isinstance(data, _KINDS.get(kind, (object,)))


def _choices(data: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> Iterator[str]:
    if "enum" in schema and data not in schema["enum"]:
        yield f"{where} must be one of {schema['enum']}"
    if "const" in schema and data != schema["const"]:
        yield f"{where} must be {schema['const']!r}"
    for part in schema.get("allOf", ()):
        yield from faults(data, part, root, where)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fitting = sum(not faults(data, part, root, where) for part in schema[word])
            if not fitting or (word == "oneOf" and fitting > 1):
                yield f"{where} fits {fitting or 'none'} of its {len(schema[word])} forms"


def _limits(data: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if isinstance(data, int | float) and not isinstance(data, bool):
        if "minimum" in schema and data < schema["minimum"]:
            yield f"{where} must be at least {schema['minimum']}"
        if "maximum" in schema and data > schema["maximum"]:
            yield f"{where} must be at most {schema['maximum']}"
    if isinstance(data, str):
        if len(data) < schema.get("minLength", 0) or len(data) > schema.get("maxLength", len(data)):
            yield f"{where} has a wrong length"
        if "pattern" in schema and not re.search(schema["pattern"], data):
            yield f"{where} does not match {schema['pattern']!r}"


def _object(data: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in data:
            yield f"{where} lacks {name!r}"
    others = schema.get("additionalProperties", True)
    for name, item in data.items():
        if name in properties:
            yield from faults(item, properties[name], root, name)
        elif others is False:
            yield f"{where} has the unknown field {name!r}"
        elif isinstance(others, Mapping):
            yield from faults(item, others, root, name)


def _array(data: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> Iterator[str]:
    if len(data) < schema.get("minItems", 0) or len(data) > schema.get("maxItems", len(data)):
        yield f"{where} has a wrong number of items"
    for index, item in enumerate(data):
        yield from faults(item, schema.get("items", True), root, f"{where}[{index}]")
