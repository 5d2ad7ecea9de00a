"""The count of what our OpenAPI document has of OpenAI's: as the script beside them counts it, and high enough."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stack_core.cli import main
from stack_core.errors import InvalidRequest
from stack_core.server.conformance import Category, conformance, read
from tests.documents import served_document

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[3] / "shared"
OPENAI = SHARED / "spec" / "openai-2.3.0.yaml"
SCRIPT = SHARED / "openapi_score.py"
needs_shared = pytest.mark.skipif(
    not OPENAI.is_file(), reason="../shared is not here: there is nothing to compare with"
)


@cache
def openai() -> dict[str, Any]:
    return read(OPENAI)


@needs_shared
def test_almost_all_of_openais_shapes_are_ours() -> None:
    found = conformance(openai(), served_document())
    low = {row.name: row.missing_operations + row.missing_paths for row in found if row.percent < 90}
    assert not low
    assert 100 * sum(row.covered for row in found) / sum(row.total for row in found) >= 95


@needs_shared
@pytest.mark.parametrize("name", ["ours", "ogx-0.8.0-v1.yaml", "llama-stack-0.3.5-v1.yaml"])
def test_the_figures_are_those_of_the_script(name: str, tmp_path: Path) -> None:
    path = SHARED / "spec" / name
    if name == "ours":
        path = tmp_path / "ours.json"
        path.write_text(json.dumps(served_document()), "utf-8")
    done = subprocess.run(
        [sys.executable, SCRIPT, OPENAI, path], capture_output=True, text=True, timeout=120, check=True
    )
    theirs = {
        row[1].strip(): (int(row[2]), int(row[3])) for row in re.finditer(r"(.{14}) .{5}  (\d+)/(\d+)", done.stdout)
    }
    found = conformance(openai(), read(path))
    assert {row.name: (row.covered, row.total) for row in found} == theirs
    assert all(len(row.missing_paths) == row.total - row.covered for row in found)


def api(**schemas: Any) -> dict[str, Any]:
    """A document with one operation, POST /batches, whose request is the schema `Request`."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}
    answer = {"200": {"content": {"application/json": {"schema": schemas.pop("Answer", {})}}}}
    operation = {"requestBody": {"content": content}, "responses": answer}
    return {"openapi": "3.1.0", "paths": {"/batches": {"post": operation}}, "components": {"schemas": schemas}}


def batch(reference: Any, own: Any) -> Category:
    return next(row for row in conformance(reference, own) if row.name == "Batch")


def thing(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("wanted", "given", "missing"),
    [
        (thing(a=TEXT), thing(a=TEXT), []),
        (thing(a=TEXT), thing(b=TEXT), [".a"]),
        (thing(a=TEXT), thing(a=NUMBER), [".a"]),
        (thing(a=NUMBER), thing(a=WHOLE), []),
        (thing(a=TEXT), thing(a={}), []),
        (thing(a={"type": ["string", "null"]}), thing(a={"anyOf": [TEXT, {"type": "null"}]}), []),
        (thing(a=thing(b=TEXT)), thing(a={"type": "object"}), [".a.b"]),
        (thing(a={"type": "array", "items": thing(b=TEXT)}), thing(a={"type": "array"}), [".a[].b"]),
        ({"oneOf": [thing(a=TEXT), thing(b=TEXT)]}, thing(b=TEXT), [".a"]),
        ({"allOf": [thing(a=TEXT), thing(b=TEXT)]}, thing(b=TEXT), [".a"]),
        (thing(a={"enum": ["x"]}), thing(a={"const": "x"}), []),
        (thing(a={"$ref": "#/nowhere/at~1all"}), thing(), [".a"]),
    ],
)
def test_paths(wanted: Any, given: Any, missing: list[str]) -> None:
    found = batch(api(Request=wanted), api(Request=given))
    assert found.missing_paths == [f"POST /batches request {path}" for path in missing]
    assert found.covered == found.total - len(missing)


def test_a_schema_within_itself_ends() -> None:
    tree = thing(left={"$ref": "#/components/schemas/Request"}, name=TEXT)
    found = batch(api(Request=tree), api(Request=tree))
    assert found.percent == 100


def test_a_missing_operation_misses_all_its_paths() -> None:
    found = batch(api(Request=thing(a=TEXT), Answer=thing(b=TEXT)), {"openapi": "3.1.0", "paths": {}})
    assert found.missing_operations == ["POST /batches"]
    assert (found.covered, found.total) == (0, 2)


def test_the_level_and_the_names_of_parameters_do_not_matter() -> None:
    wanted, given = api(Request=thing(a=TEXT)), api(Request=thing(a=TEXT))
    wanted["paths"] = {"/batches/{id}": wanted["paths"]["/batches"]}
    given["paths"] = {"/v1/batches/{batch_id}": given["paths"]["/batches"]}
    assert batch(wanted, given).percent == 100
    given["paths"] = {"/v1alpha/batches/{batch_id}": given["paths"]["/v1/batches/{batch_id}"]}
    assert batch(wanted, given).percent == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no OpenAPI document"),
        (b"[1]", "no OpenAPI document"),
        (b'{"paths": {}}', "no OpenAPI document"),
        (b"openapi: 3.1.0\npaths: 7\n", "no OpenAPI document"),
        (b'{"openapi": ', "neither JSON nor YAML"),
        (b"a: [", "neither JSON nor YAML"),
        (b"\xff\xfe\x00", "neither JSON nor YAML"),
    ],
)
def test_a_file_that_is_none(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=said):
        read(path)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read(tmp_path / "nowhere.yaml")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, own = tmp_path / "spec.json", tmp_path / "own.yaml"
    spec.write_text(json.dumps(api(Request=thing(a=TEXT, b=TEXT))), "utf-8")
    own.write_text(json.dumps(api(Request=thing(a=TEXT))), "utf-8")
    command = ["conformance", str(spec), "--ours", str(own)]
    assert main([*command, "--json", "--missing"]) == 0
    rows = {row["category"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["Batch"]["percent"], rows["overall"]["covered"], rows["overall"]["total"]) == (50.0, 1, 2)
    assert rows["Batch"]["missing_paths"] == ["POST /batches request .b"]
    assert main([*command, "--min", "50"]) == 0
    assert "Batch" in capsys.readouterr().out
    assert main([*command, "--min", "51"]) == 1
    assert "below 51: Batch" in capsys.readouterr().err
