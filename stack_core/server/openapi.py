"""The OpenAPI 3.1 document of the declared routes."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from stack_core.apis import protocol
from stack_core.apis._content import FileContent
from stack_core.apis._declare import Route
from stack_core.version import __version__
from stack_core.wire.forms import FORM
from stack_core.wire.requests import JSON
from stack_core.wire.results import EVENT_STREAM
from stack_core.wire.table import RouteTable, openapi_path

_BINARY = "application/octet-stream"
_COMPONENTS = "#/components/schemas/"
_ERROR = {"$ref": "#/components/responses/Error"}


class ErrorPlace(BaseModel):
    """One fault of a request: where, what, and of which kind."""

    loc: list[str | int]
    msg: str
    type: str


class ErrorPlaces(BaseModel):
    """All faults of a request."""

    errors: list[ErrorPlace]


class ErrorInfo(BaseModel):
    """What went wrong. `hint` says what would help."""

    message: str
    type: str
    code: str
    param: str | None = None
    hint: str | None = None
    detail: ErrorPlaces | None = None
    data: dict[str, Any] | None = Field(None, description="Facts of this kind of error, such as the nearest ids.")


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 or more."""

    detail: str
    error: ErrorInfo


def document(table: RouteTable) -> dict[str, Any]:
    """The document: every route with its request and response schemas; further spellings stand there as deprecated."""
    schemas, components = _schemas(table.routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        paths.setdefault(openapi_path(route.url), {})[route.verb.lower()] = _operation(route, schemas, components)
    for number, (verb, url, route) in enumerate(table.aliased):
        operation = _operation(route, schemas, components)
        old = operation | {"deprecated": True, "operationId": f"{_identifier(route)}_alias_{number}"}
        paths.setdefault(openapi_path(url), {}).setdefault(verb.lower(), old)
    apis = dict.fromkeys(route.api for route in table.routes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Llama Stack", "version": __version__, "description": "Every route of every declared API."},
        "servers": [{"url": "/"}],
        "tags": [{"name": api, "description": inspect.getdoc(protocol(api)) or ""} for api in apis],
        "paths": paths,
        "components": {"schemas": components, "responses": {"Error": _error_response(schemas)}},
    }


def _schemas(routes: list[Route]) -> tuple[dict[str, JsonSchemaValue], dict[str, JsonSchemaValue]]:
    """(`route id/part` → schema, components). Parts: `request`, `result`, `item`, and the names of other parameters."""
    inputs: list[tuple[str, Any, TypeAdapter[Any]]] = [("error", "serialization", TypeAdapter(ErrorBody))]
    for route in routes:
        inputs += [(f"{route.id}/{name}", "validation", adapter) for name, adapter in route.adapters.items()]
        for part, kind in (("result", route.result), ("item", route.item)):
            if kind is not None:
                inputs.append((f"{route.id}/{part}", "serialization", TypeAdapter(kind)))
    found, defs = TypeAdapter.json_schemas(inputs, ref_template=f"{_COMPONENTS}{{model}}")
    return {key: _overlapping(schema) for (key, _), schema in found.items()}, _overlapping(defs.get("$defs", {}))


def _overlapping(schema: Any) -> Any:
    """A copy in which shapes that nothing in the document tells apart stand under `anyOf`. Pydantic says `oneOf`, also
    where one of them, such as an item of a type that we do not know, takes what the others take."""
    if isinstance(schema, list):
        return [_overlapping(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    loose = isinstance(schema.get("oneOf"), list) and "discriminator" not in schema
    return {"anyOf" if loose and key == "oneOf" else key: _overlapping(part) for key, part in schema.items()}


def _operation(
    route: Route, schemas: dict[str, JsonSchemaValue], components: dict[str, JsonSchemaValue]
) -> dict[str, Any]:
    summary, _, description = route.doc.partition("\n")
    operation: dict[str, Any] = {
        "operationId": _identifier(route),
        "tags": [route.api],
        "summary": summary.strip(),
        "parameters": _parameters(route, schemas, components),
        "responses": {**_good(route, schemas), "400": _ERROR, "404": _ERROR, "default": _ERROR},
    }
    if description.strip():
        operation["description"] = description.strip()
    if body := _body(route, schemas):
        operation["requestBody"] = {"required": True, "content": {FORM if route.upload else JSON: {"schema": body}}}
    return operation


def _identifier(route: Route) -> str:
    return route.id.replace(".", "_")


def _parameters(
    route: Route, schemas: dict[str, JsonSchemaValue], components: dict[str, JsonSchemaValue]
) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for param in route.params:
        schema = schemas[f"{route.id}/{param.name}"]
        if param.name in route.path_params:
            out.append({"name": param.name, "in": "path", "required": True, "schema": schema})
        elif not _in_url(route):
            continue
        elif param.name == "request":
            out += _query(components[schema["$ref"].removeprefix(_COMPONENTS)])
        else:
            required = param.default is inspect.Parameter.empty
            out.append({"name": param.name, "in": "query", "required": required, "schema": schema})
    return out


def _query(model: JsonSchemaValue) -> list[dict[str, Any]]:
    """Each field of a request model as a query parameter."""
    required = model.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field, **_style(field)}
        for name, field in model.get("properties", {}).items()
    ]


def _style(schema: JsonSchemaValue) -> dict[str, Any]:
    """A mapping stands in a URL as `name[key]=value`."""
    mapping = any(part.get("type") == "object" for part in [schema, *schema.get("anyOf", ())])
    return {"style": "deepObject", "explode": True} if mapping else {}


def _in_url(route: Route) -> bool:
    return route.verb in ("GET", "DELETE")


def _body(route: Route, schemas: dict[str, JsonSchemaValue]) -> JsonSchemaValue | None:
    if _in_url(route):
        return None
    if route.request is not None:
        return schemas[f"{route.id}/request"]
    loose = [param for param in route.params if param.name not in route.path_params]
    if not loose:
        return None
    required = [param.name for param in loose if param.default is inspect.Parameter.empty]
    properties = {param.name: schemas[f"{route.id}/{param.name}"] for param in loose}
    return {"type": "object", "properties": properties, "required": required}


def _good(route: Route, schemas: dict[str, JsonSchemaValue]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if route.result is not None:
        kind = _BINARY if route.result is FileContent else JSON
        content[kind] = {"schema": schemas[f"{route.id}/result"]}
    if route.item is not None:
        # OpenAPI has no word for the items of an event stream: the schema is that of each event's data.
        content[EVENT_STREAM] = {"schema": schemas[f"{route.id}/item"]}
    if not content:
        return {"204": {"description": "Done; there is nothing to tell."}}
    return {"200": {"description": "The result.", "content": content}}


def _error_response(schemas: dict[str, JsonSchemaValue]) -> dict[str, Any]:
    return {"description": "What went wrong and what would help.", "content": {JSON: {"schema": schemas["error"]}}}
