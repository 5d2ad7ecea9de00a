"""Typed answers: the ways to write a schema, and what fits it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llama_magics.jsonschema import faults
from llama_magics.schema import AnswerMismatch, Schema, schema_of
from stack_core.errors import InvalidRequest, NotFound

HERE = Path()


class Paper(BaseModel):
    title: str
    year: int


def of(given: Any, **namespace: Any) -> Schema:
    return schema_of(given, namespace, HERE)


def properties(line: str) -> Any:
    return of(line).json_schema["properties"]


def test_a_line() -> None:
    schema = of("title, year int, tags list[str]")
    assert schema.json_schema["required"] == ["title", "year", "tags"]
    assert schema.json_schema["additionalProperties"] is False
    assert schema.json_schema["properties"]["tags"]["items"] == {"type": "string"}
    assert schema.value('{"title": "A", "year": 1999, "tags": []}') == {"title": "A", "year": 1999, "tags": []}
    assert schema.response_format()["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("x", {"type": "string"}),
        ("x: int", {"type": "integer"}),
        ("x float", {"type": "number"}),
        ("x bool", {"type": "boolean"}),
        ("x date", {"type": "string", "format": "date"}),
        ("x int?", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("x int|null", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ('x "yes"|"no"', {"type": "string", "enum": ["yes", "no"]}),
        ("x list[list[int]]", {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
        ("x dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
    ],
)
def test_types_of_a_line(line: str, kind: dict[str, Any]) -> None:
    found = properties(line)["x"]
    assert {key: value for key, value in found.items() if key != "title"} == kind


@pytest.mark.parametrize("line", ["x integr", "x list[", "1x", "_x int", "x dict[int, str]"])
def test_bad_lines(line: str) -> None:
    with pytest.raises(InvalidRequest):
        of(line)


def test_a_class_by_its_name_or_itself() -> None:
    for schema in (of("Paper", Paper=Paper), of(Paper)):
        assert schema.name == "Paper"
        assert schema.value('{"title": "A", "year": 1}') == Paper(title="A", year=1)


def test_a_class_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="Papr") as caught:
        of("Papr", Paper=Paper)
    assert caught.value.nearest == ["Paper"]


def test_json_schemas(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    (tmp_path / "a.json").write_text(json.dumps(schema))
    for given in (schema, json.dumps(schema), "a.json", "shape"):
        found = schema_of(given, {"shape": schema}, tmp_path)
        assert found.value('{"a": 1}') == {"a": 1}
        with pytest.raises(AnswerMismatch, match="lacks 'a'"):
            found.value("{}")
    with pytest.raises(NotFound):
        schema_of("b.json", {}, tmp_path)
    with pytest.raises(InvalidRequest):
        of({"name": "no schema"})


def test_answers_that_do_not_fit_keep_their_text() -> None:
    with pytest.raises(AnswerMismatch) as caught:
        of("year int").value('{"year": "soon"}')
    assert caught.value.text == '{"year": "soon"}'
    assert "year" in caught.value.message
    with pytest.raises(AnswerMismatch, match="not JSON"):
        of("year int").value("In 1999.")


def test_a_fenced_answer() -> None:
    assert of("year int").value('```json\n{"year": 1}\n```') == {"year": 1}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0], [True, 1.5, "1"]),
        ({"type": ["string", "null"]}, ["a", None], [1]),
        ({"enum": [1, "a"]}, [1, "a"], [2]),
        ({"const": 3}, [3], [4]),
        ({"minimum": 1, "maximum": 3}, [1, 3], [0, 4]),
        ({"type": "string", "minLength": 1, "maxLength": 2, "pattern": "^a"}, ["a", "ab"], ["", "abc", "b"]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, [[1]], [[], ["a"]]),
        ({"properties": {"a": {"type": "integer"}}, "additionalProperties": False}, [{}, {"a": 1}], [{"b": 1}]),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "b"}]),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, [1, "a"], [None]),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, [1], [3, 0]),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1, 2], [3]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, [1], ["a"]),
        (True, [1], []),
        (False, [], [1]),
    ],
)
def test_json_schema_keywords(schema: Any, good: list[Any], bad: list[Any]) -> None:
    assert [data for data in good if faults(data, schema, schema if isinstance(schema, dict) else {})] == []
    assert [data for data in bad if not faults(data, schema, schema if isinstance(schema, dict) else {})] == []
