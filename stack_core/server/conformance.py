"""How much of one OpenAPI document another has: every property path of the request and of the first good response of
each operation, by category.

A path such as `.choices[].message.content` is followed through references, `allOf` and the variants of `anyOf` and
`oneOf`. It counts as covered where ours has it with a type in common. A missing operation misses all its paths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack_core.errors import InvalidRequest

Schema = Mapping[str, Any]
Paths = dict[str, set[str]]

CATEGORIES = {
    "Batch": "/batches",
    "Chat": "/chat/completions",
    "Completions": "/completions",
    "Conversations": "/conversations",
    "Embeddings": "/embeddings",
    "Files": "/files",
    "Models": "/models",
    "Moderations": "/moderations",
    "Responses": "/responses",
    "Vector stores": "/vector_stores",
}
"""Category → how the URLs of its operations begin, after the level."""

DEEPEST = 6
"""How far properties are followed into each other, and unions into unions."""

_VERBS = ("get", "post", "put", "patch", "delete")
_SCALARS = {str: "string", int: "integer", bool: "boolean"}


@dataclass
class Category:
    """What was found of one category. Missing paths are written `POST /batches request .metadata`."""

    name: str
    covered: int = 0
    total: int = 0
    missing_operations: list[str] = field(default_factory=list)
    missing_paths: list[str] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """Covered paths of a hundred."""
        return 100 * self.covered / self.total if self.total else 100.0


def conformance(reference: Schema, ours: Schema) -> list[Category]:
    """The categories in their order, each with its counts."""
    wanted, given = _Document(reference), _Document(ours)
    have = {
        (verb, _shape(url)): operation
        for url, verb, operation in given.operations()
        if not url.startswith(("/v1alpha", "/v1beta", "/v1/openai"))
    }
    found = {name: Category(name) for name in CATEGORIES}
    for url, verb, operation in wanted.operations():
        name = _category(_shape(url))
        if name is None:
            continue
        mine = have.get((verb, _shape(url)))
        if mine is None:
            found[name].missing_operations.append(f"{verb.upper()} {url}")
        theirs, has = wanted.sides(operation), given.sides(mine or {})
        for side, paths in theirs.items():
            _count(found[name], f"{verb.upper()} {url} {side}", paths, has.get(side, {}))
    return list(found.values())


def read(path: Path) -> dict[str, Any]:
    """The OpenAPI document in a JSON or YAML file.

    Raises:
        InvalidRequest: the file cannot be read, is neither JSON nor YAML, or is no OpenAPI document.
    """
    import yaml

    try:
        text = path.read_text("utf-8")
        if text.lstrip().startswith("{"):
            found = json.loads(text)
        else:
            # libyaml reads a specification of some megabytes ten times as fast, where PyYAML was built with it.
            found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise InvalidRequest(f"{path} is neither JSON nor YAML: {first}") from error
    if not isinstance(found, dict) or not isinstance(found.get("paths"), dict) or "openapi" not in found:
        hint = "give a file with `openapi:` and `paths:`, such as OpenAI's openapi.yaml"
        raise InvalidRequest(f"{path} is no OpenAPI document", hint)
    return found


def _count(category: Category, place: str, wanted: Paths, has: Paths) -> None:
    for path, types in wanted.items():
        category.total += 1
        mine = has.get(path)
        if mine is not None and (types & mine or "any" in types | mine):
            category.covered += 1
        else:
            category.missing_paths.append(f"{place} {path}")


def _shape(url: str) -> str:
    """A URL without its level and without the names of its parameters."""
    return re.sub(r"\{[^}]+\}", "{}", url.removeprefix("/v1"))


def _category(shape: str) -> str | None:
    return next((name for name, start in CATEGORIES.items() if shape == start or shape.startswith(f"{start}/")), None)


class _Document:
    """An OpenAPI document whose schemas are followed."""

    def __init__(self, content: Schema) -> None:
        self._content = content

    def operations(self) -> Iterator[tuple[str, str, Schema]]:
        """URL, verb and operation of each."""
        for url, verbs in self._content["paths"].items():
            for verb, operation in (verbs if isinstance(verbs, dict) else {}).items():
                if verb in _VERBS and isinstance(operation, dict):
                    yield url, verb, operation

    def sides(self, operation: Schema) -> dict[str, Paths]:
        """The paths of the request and of the first good response, where they have a body."""
        found = {}
        body = self._target(operation.get("requestBody") or {}).get("content") or {}
        if body:
            found["request"] = self._paths(next(iter(body.values())).get("schema") or {})
        good = next((code for code in sorted(operation.get("responses") or {}) if str(code).startswith("2")), None)
        if good is not None:
            content = self._target(operation["responses"][good]).get("content") or {}
            if "application/json" in content:
                found["response"] = self._paths(content["application/json"].get("schema") or {})
        return found

    def _target(self, schema: Any) -> Schema:
        """What a reference stands for; a schema that is none stands for itself."""
        seen = set()
        while isinstance(schema, dict) and "$ref" in schema and schema["$ref"] not in seen:
            seen.add(schema["$ref"])
            place: Any = self._content
            for step in schema["$ref"].lstrip("#/").split("/"):
                place = place.get(step.replace("~1", "/")) if isinstance(place, dict) else None
            schema = place
        return schema if isinstance(schema, dict) else {}

    def _variants(self, schema: Any, depth: int = 0) -> list[Schema]:
        """All the schemas that a value may be of, without unions and with what `allOf` brings merged in."""
        schema = self._target(schema)
        if depth > DEEPEST:
            return [schema]
        for union in ("anyOf", "oneOf"):
            if union in schema:
                own = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "discriminator")}
                members = [found for member in schema[union] for found in self._variants(member, depth + 1)]
                return ([own] if "properties" in own else []) + members
        return [self._merged(schema, depth)] if "allOf" in schema else [schema]

    def _merged(self, schema: Schema, depth: int) -> Schema:
        parts = [found for part in schema["allOf"] for found in self._variants(part, depth + 1)]
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        merged["properties"] = dict(schema.get("properties") or {})
        for part in parts:
            merged["properties"].update(part.get("properties") or {})
        merged.setdefault("type", next((part["type"] for part in parts if part.get("type")), "object"))
        if items := [part["items"] for part in parts if part.get("items")]:
            merged.setdefault("items", items[0])
        return merged

    def _types(self, schema: Any) -> set[str]:
        """The JSON types of a value. Integers are numbers; what says nothing may be any."""
        found: set[str] = set()
        for variant in self._variants(schema):
            kind = variant.get("type") or ("object" if variant.get("properties") else None)
            if kind is None and "enum" in variant:
                kind = _SCALARS.get(type(variant["enum"][0]))
            if kind is None and "const" in variant:
                kind = "string"
            kinds = kind if isinstance(kind, list) else [kind]
            found |= {"number" if one == "integer" else one or "any" for one in kinds}
        return found - {"null"} or {"any"}

    def _paths(self, schema: Any, at: str = "", depth: int = 0, inside: tuple[str, ...] = ()) -> Paths:
        """Every property that can be reached, with its types. A reference to what it stands in is not followed."""
        found: Paths = {}
        if depth > DEEPEST:
            return found
        for variant in self._variants(schema):
            if variant.get("items"):
                found.update(self._paths(variant["items"], f"{at}[]", depth + 1, inside))
            for name, value in (variant.get("properties") or {}).items():
                path = f"{at}.{name}"
                found.setdefault(path, set()).update(self._types(value))
                reference = value.get("$ref") if isinstance(value, dict) else None
                if reference in inside:
                    continue
                within = (*inside, reference) if reference else inside
                for inner, types in self._paths(value, path, depth + 1, within).items():
                    found.setdefault(inner, set()).update(types)
        return found
