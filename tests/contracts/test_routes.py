"""Every route that is wanted is served, and none of them breaks, whatever it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stack_core import Stack
from stack_core.apis import APIS
from stack_core.apis._declare import Route
from stack_core.errors import StackError
from stack_core.server.aliases import route_table
from stack_core.transport import in_process_transport
from tests.documents import served_document
from tests.stack_core.test_stack import run_file

pytestmark = pytest.mark.slow

SPEC = Path(__file__).parents[3] / "shared" / "spec"
DOCUMENTS = sorted(SPEC.glob("llama-stack-*.yaml")) + sorted(SPEC.glob("ogx-*.yaml"))
HISTORY = re.compile(r"/v1/(inference/(batch-)?(chat-)?completion|inference/embeddings|vector-dbs)\b")
"""Spellings from before OpenAI's, which nobody wants back."""
BEYOND = re.compile(r"/v1(alpha)?/(messages|interactions)\b")
"""Façades for the clients of other makers, beyond the 27 APIs."""
TABLE = route_table()
SERVED = [(route.verb, route.url, route) for route in TABLE.routes] + TABLE.aliased


def wanted() -> list[tuple[str, str]]:
    found = set()
    for file in DOCUMENTS:
        for path, verbs in yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)["paths"].items():
            if not HISTORY.match(path) and not BEYOND.match(path):
                found |= {(verb.upper(), path) for verb in verbs if verb in ("get", "post", "put", "patch", "delete")}
    return sorted(found, key=lambda row: row[::-1])


@pytest.mark.skipif(not DOCUMENTS, reason="the documents of shared/spec are not here")
def test_every_wanted_route_is_served() -> None:
    rows = wanted()
    assert len(rows) > 150
    missing = []
    for verb, path in rows:
        try:
            route, _ = TABLE.match(verb, re.sub(r"{\w+(:path)?}", "some-id", path))
        except StackError:
            missing.append(f"{verb} {path}")
        else:
            assert route.api in APIS
    assert not missing


@pytest.fixture(scope="module")
def components() -> dict[str, Any]:
    """A copy, to which the tests add."""
    return dict(served_document()["components"]["schemas"])


@pytest.fixture(params=["models only", "all that runs here"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    config = run_file(tmp_path)
    if request.param != "models only":
        config["providers"] |= {
            "files": [entry("inline::localfs", storage_dir=str(tmp_path / "files"))],
            "vector_io": [entry("inline::sqlite-vec", db_path=str(tmp_path / "vectors.db"))],
            "datasetio": [entry("inline::localfs")],
            "batches": [entry("inline::reference")],
            "safety": [entry("inline::rules")],
            "agents": [entry("inline::meta-reference")],
        }
    async with Stack.open(config) as stack:
        assert not stack.unavailable
        transport: Any = in_process_transport(stack, httpx)
        async with httpx.AsyncClient(transport=transport, base_url="http://stack") as found:
            yield found


def entry(kind: str, **config: Any) -> dict[str, Any]:
    return {"provider_id": kind.rpartition(":")[2], "provider_type": kind, "config": config}


def parameters(count: int) -> list[Any]:
    """The served routes, as `count` parts of a test."""
    return [pytest.param(SERVED[part::count], id=f"{part + 1} of {count}") for part in range(count)]


@pytest.mark.parametrize("served", parameters(4))
async def test_garbage_breaks_nothing(served: list[tuple[str, str, Route]], client: httpx.AsyncClient) -> None:
    """No body, no JSON, a body of the wrong kind, and unknown fields."""
    for verb, url, route in served:
        path = re.sub(r"{\w+(:path)?}", "no-such-id", url)
        for body in (b"", b"{", b"[1]", b'{"no_such_field": {"a": [null]}}'):
            answer = await client.request(verb, path, content=body, headers={"content-type": "application/json"})
            check(answer, route, f"{verb} {path} {body!r}")


@pytest.mark.parametrize("served", parameters(4))
async def test_the_least_that_fits_gives_an_answer(
    served: list[tuple[str, str, Route]], client: httpx.AsyncClient, components: dict[str, Any]
) -> None:
    """Only what is required, with values that fit and ids that nobody has."""
    for verb, url, route in served:
        path = re.sub(r"{\w+(:path)?}", "no-such-id", url)
        answer = await client.request(verb, path, **arguments(route, components))
        check(answer, route, f"{verb} {path}")
        if route.path_params:
            assert answer.status_code >= 400, f"{verb} {path}: there is nothing of this id"


def check(answer: httpx.Response, route: Route, what: str) -> None:
    """A success, or a refusal that says why in both clients' shapes."""
    status, text = answer.status_code, answer.text
    assert status < 500 or status in (501, 503), f"{what}: {status} {text}"
    if status < 400:
        return
    body = answer.json()
    assert body["detail"], f"{what}: {text}"
    assert body["error"]["message"], f"{what}: {text}"
    if status == 501:
        assert route.api in text or body["error"].get("hint"), f"{what}: {text}"


def arguments(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    """What is sent: a form where the route takes a file, a query or a JSON body."""
    found: dict[str, Any] = {}
    for param in route.params:
        if param.name == "request":
            assert route.request is not None
            found |= least(components_schema(route, components), components)
        elif param.name not in route.path_params and param.default is param.empty:
            found[param.name] = least(route.adapters[param.name].json_schema(), {})
    if route.upload is not None:
        fields = {name: value for name, value in found.items() if name != route.upload}
        return {"data": fields, "files": {route.upload: ("a.txt", b"text")}}
    if route.verb in ("GET", "DELETE"):
        return {"params": found}
    return {"content": json.dumps(found), "headers": {"content-type": "application/json"}}


def components_schema(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = route.adapters["request"].json_schema()
    components.update(schema.get("$defs", {}))
    return schema


def least(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """The smallest value that a schema takes."""
    if "$ref" in schema:
        return least(known[schema["$ref"].rpartition("/")[2]], known)
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return least(choices[0], known)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type", "object")
    if kind == "object":
        fixed = [name for name, field in schema.get("properties", {}).items() if "const" in field]
        return {name: least(schema["properties"][name], known) for name in (*schema.get("required", ()), *fixed)}
    plain: dict[str, Any] = {
        "array": [least(schema.get("items", {}), known)] * schema.get("minItems", 0),
        "string": "2026-01-31T12:00:00Z" if schema.get("format") == "date-time" else "x",
        "boolean": False,
    }
    return plain.get(kind, schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))


async def test_the_stack_lists_its_routes(client: httpx.AsyncClient) -> None:
    rows = (await client.get("/v1/inspect/routes")).json()["data"]
    assert {(row["method"], row["route"]) for row in rows} == {(route.verb, route.url) for route in TABLE.routes}
    alpha = (await client.get("/v1alpha/admin/inspect/routes", params={"api_filter": "v1alpha"})).json()["data"]
    assert [row for row in rows if row["route"].startswith("/v1alpha/")] == alpha
    models = next(row for row in rows if row["route"] == "/v1/embeddings")
    assert models["provider_types"] == ["inline::echo"]
    assert (await client.get("/v1/inspect/routes", params={"api_filter": "v2"})).status_code == 400
