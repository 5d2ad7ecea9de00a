"""JSON Schemas as grammars of llguidance, which llama.cpp enforces while it samples.

Sent as a grammar and not as `response_format`, because the grammar knows patterns and formats, keeps whitespace fixed
(a small model otherwise fills its context with it), and its output needs no second parser that could refuse it. A
grammar that does not compile is quietly left out by the engine, so schemas are checked here and answers afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
_SIZED = ("maxLength", "enum", "const", "pattern", "format")
_CHILDREN = ("properties", "patternProperties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")


def answer_grammar(schema: Mapping[str, Any], *, bounded: bool) -> str:
    """A grammar for JSON that follows the schema. `bounded` keeps texts and whole numbers that have no bound of their
    own to 400 characters and 53 bits, and objects to the properties they name, so that a small model comes to an end.

    Raises:
        InvalidRequest: the schema is wrong; names the place.
    """
    return f"%llguidance {{}}\nstart: %json {_text(checked(schema, bounded=bounded))}"


def call_grammar(tools: Sequence[FunctionSpec], *, bounded: bool) -> str:
    """A grammar for exactly one call of one of the tools, in the form of Hermes' models; the tags are plain text, so it
    binds every model.

    Raises:
        InvalidRequest: a tool's parameters are wrong; names the place.
    """
    rules = []
    for number, tool in enumerate(tools):
        arguments = checked(tool.parameters or {"type": "object"}, bounded=bounded, where=f"tools.{tool.name}")
        call: dict[str, Any] = {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": _without_definitions(arguments)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
            **{key: arguments[key] for key in ("$defs", "definitions") if key in arguments},
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
    return {**out, **_bounds(schema)} if bounded else out


def _check_words(schema: Mapping[str, Any], where: str) -> None:
    given = schema.get("type", [])
    for name in given if isinstance(given, list) else [given]:
        if name not in TYPES:
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


def _bounds(schema: Mapping[str, Any]) -> dict[str, Any]:
    given = schema.get("type")
    kinds = given if isinstance(given, list) else [given]
    out: dict[str, Any] = {}
    if "properties" in schema and not any(key in schema for key in ("additionalProperties", "allOf", "$ref")):
        out["additionalProperties"] = False
    if "string" in kinds and not any(key in schema for key in _SIZED):
        out["maxLength"] = LONGEST_TEXT
    if "integer" in kinds and not any(key in schema for key in ("enum", "const")):
        if not any(key in schema for key in ("minimum", "exclusiveMinimum")):
            out["minimum"] = -LARGEST_WHOLE
        if not any(key in schema for key in ("maximum", "exclusiveMaximum")):
            out["maximum"] = LARGEST_WHOLE
    return out


def _without_definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    """References are resolved from the root, so definitions move there."""
    return {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": LAYOUT}, ensure_ascii=True)
