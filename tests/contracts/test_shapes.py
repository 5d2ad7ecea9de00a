"""Our shapes against those of Llama Stack's own documents: every property of each request and answer has its place."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from stack_core.server.aliases import route_table
from tests.documents import served_document

SPEC = Path(__file__).parents[3] / "shared" / "spec"
DEPTH = 6
Properties = dict[str, set[str]]

pytestmark = pytest.mark.skipif(not SPEC.is_dir(), reason="the documents of shared/spec are not here")

CASES = {
    "agents": ("llama-stack-0.3.5-v1alpha-v1beta.yaml", "/v1alpha/agents"),
    "eval": ("llama-stack-0.3.5-v1alpha-v1beta.yaml", r"/v1alpha/eval/benchmarks/\{benchmark_id\}/(jobs|evaluations)"),
    "post_training": ("llama-stack-0.3.5-v1alpha-v1beta.yaml", "/v1alpha/post-training"),
    "scoring": ("llama-stack-0.3.5-v1.yaml", "/v1/scoring/"),
    "synthetic_data_generation": ("llama-stack-0.3.5-v1.yaml", "/v1/synthetic-data-generation"),
    "tool_runtime": ("llama-stack-0.3.5-v1.yaml", "/v1/tool-runtime"),
    "prompts": ("llama-stack-0.3.5-v1.yaml", "/v1/prompts"),
    "telemetry": ("llama-stack-0.2.23.yaml", "/v1/telemetry"),
}
"""API → the document that says its shapes, and the paths in it."""


@cache
def theirs(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((SPEC / name).read_text("utf-8"), Loader=yaml.CSafeLoader)
    return loaded


@pytest.mark.parametrize("api", CASES)
def test_every_property_has_its_place(api: str) -> None:
    name, pattern = CASES[api]
    spec, own = theirs(name), served_document()
    missing, wanted = [], 0
    for path, verb, operation in operations(spec, pattern):
        mine = own["paths"][path][verb]
        for side, schema in sides(operation, spec).items():
            have = properties(sides(mine, own).get(side, {}), own)
            for place, types in properties(schema, spec).items():
                wanted += 1
                if place not in have or not (types & have[place] or "any" in types | have[place]):
                    missing.append(f"{verb} {path} {side}{place}: {types} / {have.get(place)}")
    assert wanted, "the document has none of these routes"
    assert len(missing) <= 0.05 * wanted, f"{len(missing)} of {wanted} are missing:\n" + "\n".join(missing[:20])


@pytest.mark.parametrize("api", CASES)
def test_nothing_is_required_that_the_document_lets_out(api: str) -> None:
    name, pattern = CASES[api]
    spec, own = theirs(name), served_document()
    for path, verb, operation in operations(spec, pattern):
        request = flat(sides(operation, spec).get("request", {}), spec)
        mine = flat(sides(own["paths"][path][verb], own).get("request", {}), own)
        for given, ask in zip(request, mine, strict=False):
            assert set(ask.get("required", ())) <= set(given.get("required", ())), f"{verb} {path}"


@pytest.mark.parametrize("variant", range(6))
@pytest.mark.parametrize("api", CASES)
def test_values_of_the_document_are_taken(api: str, variant: int) -> None:
    """Requests and answers made from the document's schemas, each with another member of every union."""
    name, pattern = CASES[api]
    spec = theirs(name)
    for path, verb, operation in operations(spec, pattern):
        route, _ = route_table().match(verb.upper(), re.sub(r"{\w+}", "x", path))
        for side, schema in sides(operation, spec).items():
            if schema.get("$ref", "").endswith("/PaginatedResponse"):
                continue  # the document says nothing of its rows
            value = sample(schema, spec, variant)
            if side == "request":
                names = {p.name for p in route.params} - {"request"}
                route.arguments((), {**value, **dict.fromkeys(route.path_params & names, "x")})
            else:
                kind = {"response": route.result, "event": route.item}[side]
                again = TypeAdapter(kind).dump_python(TypeAdapter(kind).validate_python(value), mode="json")
                assert within(value, again), f"{verb} {path} {side}"


VALUES = {"granularity": "1h", "operator": "=", "timestamp": "2026-01-31T12:00:00Z"}
"""What a property of this name holds where any text would not do."""


def sample(schema: Any, spec: dict[str, Any], variant: int, depth: int = 0) -> Any:
    """A value that a schema takes; what is optional is left out deep down, where schemas hold themselves."""
    parts = flat(schema, spec, DEPTH - 1)
    part = parts[variant % len(parts)]
    while any(union in part for union in ("anyOf", "oneOf")):
        parts = flat(part, spec, DEPTH - 1)
        part = parts[variant % len(parts)]
    if "const" in part or "enum" in part:
        return part.get("const") or part["enum"][variant % len(part["enum"])]
    if "properties" in part:
        needed = part.get("required", ())
        return {
            name: tag(part, name, below, spec) or sample(below, spec, variant, depth + 1)
            for name, below in part["properties"].items()
            if name in needed or depth < 4
        }
    below = part.get("additionalProperties")
    plain: dict[str, Any] = {
        "array": [sample(part.get("items", {}), spec, variant, depth + 1)] if depth < DEPTH else [],
        "object": {"key": sample(below, spec, variant, depth + 1)} if isinstance(below, dict) else {},
        "string": "2026-01-31T12:00:00Z" if part.get("format") == "date-time" else "x",
        "integer": 1,
        "number": 0.5,
        "boolean": True,
    }
    return plain.get(part.get("type", ""))


def tag(owner: dict[str, Any], name: str, schema: dict[str, Any], spec: dict[str, Any]) -> str | None:
    """What tells the members of a union apart is an enumeration with a default of its own in some of them."""
    if name in VALUES and resolved(schema, spec).get("type") == "string":
        return VALUES[name]
    found = schema.get("default", schema.get("const"))
    return found if name in ("type", "role", "step_type", "event_type") and isinstance(found, str) else None


def within(given: Any, got: Any) -> bool:
    """Whether everything that was given came back."""
    if isinstance(given, dict):
        return isinstance(got, dict) and all(name in got and within(value, got[name]) for name, value in given.items())
    if isinstance(given, list):
        return isinstance(got, list) and len(given) == len(got) and all(map(within, given, got))
    return bool(given == got)


def operations(spec: dict[str, Any], pattern: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, verb, operation)
        for path, verbs in spec["paths"].items()
        if re.match(pattern, path)
        for verb, operation in verbs.items()
    ]


def sides(operation: dict[str, Any], spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schemas of the request, the answer and the events of a stream."""
    out = {}
    body = resolved(operation.get("requestBody", {}), spec).get("content", {})
    if body:
        out["request"] = next(iter(body.values())).get("schema", {})
    for status, response in operation["responses"].items():
        content = resolved(response, spec).get("content", {}) if status.startswith("2") else {}
        for kind, side in (("application/json", "response"), ("text/event-stream", "event")):
            if kind in content:
                out[side] = content[kind].get("schema", {})
    return out


def resolved(schema: Any, spec: dict[str, Any]) -> dict[str, Any]:
    while isinstance(schema, dict) and "$ref" in schema:
        found: Any = spec
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema if isinstance(schema, dict) else {}


def flat(schema: Any, spec: dict[str, Any], depth: int = 0) -> list[dict[str, Any]]:
    """All schemas that a value may have."""
    schema = resolved(schema, spec)
    if depth > DEPTH:
        return [schema]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return [part for member in schema[union] for part in flat(member, spec, depth + 1)]
    return [schema]


def kinds(schema: Any, spec: dict[str, Any]) -> set[str]:
    out = set()
    for part in flat(schema, spec):
        kind = part.get("type") or ("object" if "properties" in part else "string" if "const" in part else "any")
        out.add("number" if kind == "integer" else kind)
    return out - {"null"} or {"any"}


def properties(schema: Any, spec: dict[str, Any], place: str = "", depth: int = 0) -> Properties:
    """Path of each property → its types, through references, unions, items and mappings."""
    out: Properties = {}
    if depth > DEPTH:
        return out
    for part in flat(schema, spec):
        inner = [(f"{place}[]", part.get("items")), (f"{place}{{}}", part.get("additionalProperties"))]
        for where, below in inner:
            if isinstance(below, dict):
                merge(out, properties(below, spec, where, depth + 1))
        for name, below in part.get("properties", {}).items():
            out.setdefault(f"{place}.{name}", set()).update(kinds(below, spec))
            merge(out, properties(below, spec, f"{place}.{name}", depth + 1))
    return out


def merge(out: Properties, more: Properties) -> None:
    for place, found in more.items():
        out.setdefault(place, set()).update(found)
