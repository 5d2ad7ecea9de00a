"""JSON Schemas as grammars of llguidance, which llama.cpp enforces while it samples.

Sent as a grammar and not as `response_format`, because the grammar knows patterns and formats, keeps whitespace fixed
(a small model otherwise fills its context with it), and its output needs no second parser that could refuse it. A
grammar that does not compile is quietly left out by the engine, so schemas are checked here and answers afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stack_core.apis.inference import FunctionSpec
from stack_core.errors import InvalidRequest

DEEPEST = 48
LONGEST_TEXT = 400
LARGEST_WHOLE = 2**53 - 1
TYPES = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
LAYOUT = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": True,  # a keyword that it does not know is left out, not the whole schema
    "coerce_one_of": True,
}
CALL_START, CALL_END = "<tool_call>\n", "\n</tool_call>"
NAME_START, NAME_END = '{"name": ', ', "arguments": '
_NOTHING: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
"""The parameters of a tool that names none."""
_SHORT: Sequence[Mapping[str, Any]] = (
    {"type": "string", "maxLength": 100},
    {"type": "integer", "minimum": -(10**9), "maximum": 10**9},
    {"type": "boolean"},
    {"type": "null"},
)
_SHORT_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "patternProperties": {
        "^[A-Za-z_][A-Za-z0-9_ ]{0,19}$": {
            "anyOf": [*_SHORT, {"type": "array", "items": {"anyOf": _SHORT}, "maxItems": 6}]
        }
    },
    "additionalProperties": False,
    "maxProperties": 8,
}
"""Any object that a small model comes to the end of."""
_SIZED = ("maxLength", "enum", "const", "pattern", "format")
_CHILDREN = ("properties", "patternProperties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_SHAPES: Sequence[tuple[str, Callable[[Any], bool], str]] = (
    *((key, lambda value: isinstance(value, Mapping), "an object of schemas") for key in _CHILDREN),
    *((key, lambda value: isinstance(value, list) and bool(value), "a list of schemas") for key in _LISTS),
    *((key, _is_count, "a whole number from 0") for key in ("minLength", "maxLength", "minItems", "maxItems")),
    ("enum", lambda value: isinstance(value, list) and bool(value), "a list of values"),
    ("required", _are_texts, "a list of names"),
)
"""Keyword, what its value has to be, and how to say so: a grammar of anything else would quietly not be enforced."""


def answer_grammar(schema: Mapping[str, Any], *, bounded: bool) -> str:
    """A grammar for JSON that follows the schema. `bounded` keeps texts and whole numbers that have no bound of their
    own to 400 characters and 53 bits, and objects to the properties they name, so that a small model comes to an end.

    Raises:
        InvalidRequest: the schema is wrong; names the place.
    """
    return f"%llguidance {{}}\nstart: %json {_text(checked(schema, bounded=bounded))}"


def object_grammar(*, bounded: bool) -> str:
    """A grammar for any JSON object; `bounded` keeps it flat and short."""
    return f"%llguidance {{}}\nstart: %json {_text(_SHORT_OBJECT if bounded else {'type': 'object'})}"


def call_grammar(tools: Sequence[FunctionSpec], *, bounded: bool) -> str:
    """A grammar for exactly one call of one of the tools, in the form of Hermes' models; the tags are plain text, so it
    binds every model.

    Raises:
        InvalidRequest: a tool's parameters are wrong; names the place.
    """
    rules = []
    for number, tool in enumerate(tools):
        arguments = checked(tool.parameters or _NOTHING, bounded=bounded, where=f"tools.{tool.name}")
        call: dict[str, Any] = {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": _moved(arguments)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        rules.append(f"t{number}: %json {_text(call)}")
    either = " | ".join(f"t{number}" for number in range(len(rules)))
    head = f"start: {json.dumps(CALL_START)} ({either}) {json.dumps(CALL_END)}"
    return "\n".join(["%llguidance {}", head, *rules])


def checked(schema: Mapping[str, Any], *, bounded: bool, where: str = "schema", depth: int = 0) -> dict[str, Any]:
    """A copy of the schema, found sound, and bounded where that is asked for.

    Raises:
        InvalidRequest: an unknown type, a broken pattern, a reference to another document, or too deep.
    """
    if depth > DEEPEST:
        raise InvalidRequest(f"{where}: nested deeper than {DEEPEST} levels")
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{where}: a schema is an object, not {type(schema).__name__}")
    _check_words(schema, where)
    out = dict(schema)

    def inner(child: Any, name: str, bounded: bool = bounded) -> Any:
        if isinstance(child, bool):
            return child
        return checked(child, bounded=bounded, where=f"{where}.{name}", depth=depth + 1)

    for key in _CHILDREN:
        if isinstance(schema.get(key), Mapping):
            out[key] = {name: inner(child, f"{key}.{name}") for name, child in schema[key].items()}
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            out[key] = [
                inner(child, f"{key}.{index}", bounded and key != "allOf")  # its parts bound each other
                for index, child in enumerate(schema[key])
            ]
    for key in _SINGLE:
        if isinstance(schema.get(key), Mapping):
            out[key] = inner(schema[key], key)
    if depth == 0:
        _check_references(schema, schema, where)
    return {**out, **_bounds(schema)} if bounded else out


def _check_words(schema: Mapping[str, Any], where: str) -> None:
    for key, fits, wanted in _SHAPES:
        if key in schema and not fits(schema[key]):
            raise InvalidRequest(f"{where}.{key}: {schema[key]!r} is not {wanted}"[:300])
    given = schema.get("type", [])
    for name in given if isinstance(given, list) else [given]:
        if not isinstance(name, str) or name not in TYPES:
            raise InvalidRequest(f"{where}.type: {name!r} is no JSON type", f"types are {', '.join(sorted(TYPES))}")
    pattern = schema.get("pattern")
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise InvalidRequest(f"{where}.pattern: {pattern!r} is no regular expression: {error}") from error
    reference = schema.get("$ref")
    if reference is not None and not str(reference).startswith("#"):
        raise InvalidRequest(f"{where}.$ref: {reference!r} is not in this document", "put it under $defs")


def _check_references(part: Any, root: Mapping[str, Any], where: str) -> None:
    """Every reference must lead somewhere: a grammar with one that does not is quietly not enforced."""
    if isinstance(part, Mapping):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith("#") and not _leads(reference, root):
            raise InvalidRequest(f"{where}: nothing stands at the reference {reference!r}", "put it under $defs")
    for child in part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ():
        _check_references(child, root, where)


def _leads(reference: str, root: Any) -> bool:
    """Whether a JSON pointer (RFC 6901) finds something."""
    at = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, Mapping) and name in at:
            at = at[name]
        elif isinstance(at, list) and name.isdigit() and int(name) < len(at):
            at = at[int(name)]
        else:
            return False
    return True


def _bounds(schema: Mapping[str, Any]) -> dict[str, Any]:
    given = schema.get("type")
    kinds = given if isinstance(given, list) else [given]
    out: dict[str, Any] = {}
    named = set(schema.get("required", ())) <= set(schema.get("properties", ()))
    if named and "properties" in schema and not any(key in schema for key in ("additionalProperties", "allOf", "$ref")):
        out["additionalProperties"] = False
    if "string" in kinds and not any(key in schema for key in _SIZED):
        out["maxLength"] = LONGEST_TEXT
    if "integer" in kinds and not any(key in schema for key in ("enum", "const")):
        if not any(key in schema for key in ("minimum", "exclusiveMinimum")):
            out["minimum"] = -LARGEST_WHOLE
        if not any(key in schema for key in ("maximum", "exclusiveMaximum")):
            out["maximum"] = LARGEST_WHOLE
    return out


def _moved(schema: Any) -> Any:
    """The schema of a call's arguments where it stands in the call: references are resolved from the root."""
    if isinstance(schema, list):
        return [_moved(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    out = {key: _moved(value) for key, value in schema.items()}
    if isinstance(out.get("$ref"), str):
        out["$ref"] = f"#/properties/arguments{out['$ref'].removeprefix('#')}"
    return out


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": LAYOUT}, ensure_ascii=True)
