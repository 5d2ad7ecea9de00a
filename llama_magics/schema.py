"""Typed answers: from `"title, year int, tags list[str]"`, a JSON Schema or a Pydantic class to a response format, and
from a model's text back to a value."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PydanticUserError, ValidationError, create_model

from llama_magics.jsonschema import faults
from stack_core.errors import InvalidRequest, NotFound, ProviderError, nearest

_FIELD = re.compile(r"\s*([A-Za-z_]\w*)\s*:?\s*(.*?)\s*$", re.DOTALL)
_GENERIC = re.compile(r"(\w+)\s*\[(.*)\]$", re.DOTALL)
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)
_TYPES: dict[str, Any] = {
    "str": str,
    "string": str,
    "text": str,
    "int": int,
    "integer": int,
    "float": float,
    "number": float,
    "bool": bool,
    "boolean": bool,
    "date": date,
    "datetime": datetime,
    "any": Any,
}


class AnswerMismatch(ProviderError):
    """A model's answer does not have the form that was asked for; `text` is what it wrote."""

    code = "answer_mismatch"

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message, "the text is kept: see .text of the answer; a larger model follows a schema better")
        self.text = text


@dataclass(frozen=True)
class Schema:
    """What an answer must look like, and how its text becomes a value."""

    name: str
    json_schema: Mapping[str, Any]
    parse: Callable[[Any], Any]
    strict: bool
    code: str
    """How the Python twin writes it."""

    def response_format(self) -> dict[str, Any]:
        """The `response_format` of a chat completion."""
        spec: dict[str, Any] = {"name": self.name, "schema": dict(self.json_schema)}
        return {"type": "json_schema", "json_schema": {**spec, "strict": True} if self.strict else spec}

    def value(self, text: str) -> Any:
        """The value in a model's answer.

        Raises:
            AnswerMismatch: no JSON, or JSON of another form.
        """
        match = _FENCE.match(text)
        try:
            return self.parse(json.loads(match[1] if match else text))
        except json.JSONDecodeError as error:
            raise AnswerMismatch(f"the answer is not JSON: {error}", text) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            raise AnswerMismatch(f"the answer does not fit the schema: {place}: {first['msg']}", text) from error


def schema_of(given: Any, namespace: Mapping[str, Any], folder: Path) -> Schema:
    """The schema that a line, a file, a name, a mapping or a class means.

    Raises:
        InvalidRequest: none of these; says what is wrong with it.
        NotFound: a file or a class that is not there.
    """
    if isinstance(given, type) and issubclass(given, BaseModel):
        return _from_class(given, given.__name__)
    if isinstance(given, Mapping):
        return _from_mapping(given, repr(dict(given)))
    if not isinstance(given, str) or not given.strip():
        raise InvalidRequest(
            f"a schema is a line, a mapping or a Pydantic class, not {_kind(given)}",
            'such as "title, year int"',
        )
    text = given.strip()
    if text.startswith("{"):
        return _from_mapping(_loads(text, "--schema"), repr(_loads(text, "--schema")))
    if text.isidentifier() and text in namespace and not isinstance(namespace[text], str):
        found = schema_of(namespace[text], namespace, folder)
        return Schema(found.name, found.json_schema, found.parse, found.strict, text)
    if text.isidentifier() and text[0].isupper():
        raise NotFound("class", text, [n for n, v in namespace.items() if isinstance(v, type)])
    if text.endswith((".json", ".yaml", ".yml")):
        return _from_file(text, folder)
    return _from_line(text)


def _kind(given: Any) -> str:
    return "empty" if isinstance(given, str) else type(given).__name__


def _from_class(model: type[BaseModel], code: str) -> Schema:
    try:
        schema = model.model_json_schema()
    except (PydanticUserError, AttributeError) as error:  # BaseModel itself is refused by an AttributeError
        why = str(error).partition("\n")[0]
        raise InvalidRequest(
            f"{model.__name__} has no JSON Schema: {why}", "give a subclass of BaseModel whose fields are JSON types"
        ) from error
    return Schema(model.__name__, schema, model.model_validate, False, code)


def _from_mapping(schema: Mapping[str, Any], code: str) -> Schema:
    known = {"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "items", "const"}
    if not schema.keys() & known:
        raise InvalidRequest("this mapping is no JSON Schema", 'it has at least a "type" or "properties"')

    def check(data: Any) -> Any:
        found = faults(data, schema, schema)
        if found:
            raise AnswerMismatch(f"the answer does not fit the schema: {found[0]}", json.dumps(data))
        return data

    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title") or "answer"))[:64]
    return Schema(name, schema, check, False, code)


def _from_file(text: str, folder: Path) -> Schema:
    path = (folder / text).expanduser()
    if not path.is_file():
        raise NotFound("schema file", text, [p.name for p in path.parent.glob("*.json")])
    from stack_core.yaml_text import read_yaml

    try:
        written = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{text} cannot be read: {error}", "a schema file is JSON or YAML in UTF-8") from error
    data = _loads(written, text) if path.suffix == ".json" else read_yaml(written, text)
    if not isinstance(data, Mapping):
        raise InvalidRequest(f"{text} is no JSON Schema", "it must hold a mapping")
    return _from_mapping(data, repr(text))


def _from_line(line: str) -> Schema:
    given = [_field(part) for part in split(line)]
    fields = dict(given)
    if twice := next((name for name, _ in given if [n for n, _ in given].count(name) > 1), None):
        raise InvalidRequest(f"schema: the field {twice!r} is named twice")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a field may be called `json` or `schema`
        model = create_model("answer", __config__=ConfigDict(extra="forbid"), **fields)

    def check(data: Any) -> Any:
        return model.model_validate(data).model_dump()

    return Schema("answer", model.model_json_schema(), check, True, repr(line))


def split(text: str, sign: str = ",") -> list[str]:
    """The parts between signs that stand outside brackets and quotes."""
    parts, depth, quote, begun = [], 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[({":
            depth += 1
        elif char in "])}":
            depth -= 1
        elif char == sign and not depth:
            parts.append(text[begun:at])
            begun = at + 1
    return [part.strip() for part in [*parts, text[begun:]] if part.strip()]


def _field(part: str) -> tuple[str, Any]:
    match = _FIELD.match(part)
    if not match:
        raise InvalidRequest(f"schema: {part!r} is not a field", 'write "title, year int, tags list[str]"')
    name, kind = match.groups()
    if name.startswith("_") or name.startswith("model_"):
        raise InvalidRequest(f"schema: a field cannot be called {name!r}")
    return name, (_type(kind or "str"), ...)


def _type(text: str) -> Any:
    """The type that a word means: `int`, `list[str]`, `dict[str, float]`, `int?`, `int|null`, or `"yes"|"no"`."""
    text = text.strip()
    if text.endswith("?"):
        return _type(text[:-1]) | None
    options = split(text, "|")
    if len(options) > 1 or text[:1] in "\"'":
        return _choice(options)
    return _TYPES[text] if text in _TYPES else _container(text)


def _choice(options: list[str]) -> Any:
    if all(option[0] in "\"'" for option in options):
        return Literal[tuple(option.strip("\"'") for option in options)]
    out = _type(options[0])
    for option in options[1:]:
        out = out | (None if option in ("None", "null") else _type(option))
    return out


def _container(text: str) -> Any:
    if text in ("list", "dict"):
        return list[str] if text == "list" else dict[str, Any]
    match = _GENERIC.match(text)
    if match and match[1] == "list":
        return list[_type(match[2])]  # type: ignore[misc]  # a type that is known only now
    if match and match[1] == "dict":
        key, *value = split(match[2])
        if key == "str" and len(value) == 1:
            return dict[str, _type(value[0])]  # type: ignore[misc]  # a type that is known only now
    close = nearest(text, [*_TYPES, "list", "dict"])
    hint = f"did you mean {close[0]}?" if close else f"types: {', '.join(_TYPES)}, list[…], dict[str, …]"
    raise InvalidRequest(f"schema: unknown type {text!r}", hint)


def _loads(text: str, label: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"{label}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}",
            'keys and texts stand in double quotes: {"type": "object"}',
        ) from error
