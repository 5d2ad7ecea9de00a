"""Arguments as an HTTP request: `arguments` reads them on the server, `outgoing` writes them in the client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from stack_core.apis._declare import Route, invalid
from stack_core.errors import InvalidRequest

PROVIDER_DATA = ("x-llamastack-provider-data", "x-ogx-provider-data")
"""Request headers that carry per-request provider keys as a JSON object."""

CLIENT_VERSION = "x-llamastack-client-version"
"""Sent by Llama Stack's own clients. No version is refused."""

_IN_URL = frozenset({"GET", "DELETE"})
_BRACKETS = re.compile(r"(\w+)\[(\w*)\]")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to send: `target` is path and query, percent-encoded; `body` is JSON."""

    verb: str
    target: str
    body: bytes | None


def arguments(route: Route, path: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
    """The checked arguments of a request.

    Raises:
        InvalidRequest: with every fault and its place, or the place in the text where the body stops being JSON.
    """
    if route.verb in _IN_URL:
        return route.arguments((), {**_query(query), **path})
    if route.request is None:
        return route.arguments((), {**_object(route, body), **path})
    if len(route.params) == 1:
        return {"request": _model(route, route.request, body)}
    return route.arguments((), {"request": _model(route, route.request, body), **path})


def provider_data(headers: Mapping[str, str]) -> dict[str, Any]:
    """The per-request provider keys of a request; `headers` has lower-case names.

    Raises:
        InvalidRequest: the header is there but is not a JSON object. Its value is never repeated.
    """
    for name in PROVIDER_DATA:
        text = headers.get(name)
        if text is None:
            continue
        try:
            # Header texts come decoded as Latin-1; what was sent is JSON, so UTF-8.
            data = from_json(text.encode("latin-1") if text.isascii() or max(text) <= "\xff" else text)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            shown = name.title().replace("Llamastack", "LlamaStack").replace("Ogx", "OGX")
            fault = {"loc": ["header", shown], "msg": "must be a JSON object", "type": "json_invalid"}
            hint = 'such as {"openai_api_key": "…"}'
            raise InvalidRequest(f"the header {shown} must be a JSON object", hint, errors=[fault])
        return data
    return {}


def outgoing(route: Route, args: Mapping[str, Any]) -> Outgoing:
    """The request that carries a call out on a server.

    Raises:
        InvalidRequest: an argument cannot be written in a URL or as JSON.
    """
    path = route.url
    for name in route.path_params:
        path = path.replace(f"{{{name}:path}}", _quoted(name, args[name], "/"))
        path = path.replace(f"{{{name}}}", _quoted(name, args[name], ""))
    rest = {name: value for name, value in args.items() if name not in route.path_params and name != "request"}
    request = args.get("request")
    if route.verb in _IN_URL:
        shown = request.model_dump(mode="json", exclude_none=True, by_alias=True) if request is not None else {}
        query = urlencode(_pairs({**shown, **rest}))
        return Outgoing(route.verb, f"{path}?{query}" if query else path, None)
    try:
        if isinstance(request, BaseModel):
            return Outgoing(route.verb, path, type(request).__pydantic_serializer__.to_json(request, exclude_none=True))
        return Outgoing(route.verb, path, to_json(rest, exclude_none=True))
    except PydanticSerializationError as error:
        raise InvalidRequest(f"{route.id}: an argument cannot be sent as JSON: {error}") from error


def _quoted(name: str, value: Any, safe: str) -> str:
    """An argument as it stands in a path. HTTP clients resolve `.` and `..` as folders, so those are encoded too."""
    try:
        text = quote(str(value), safe=safe)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{name}: not a text that can be sent: {error}") from error
    return "/".join(part.replace(".", "%2E") if part in (".", "..") else part for part in text.split("/"))


def streams(route: Route, args: Mapping[str, Any]) -> bool:
    """Whether the call asks for a stream: its result is always one, or the request says so."""
    if route.item is None:
        return False
    return route.result is None or bool(getattr(args.get("request"), "stream", False))


def _model(route: Route, model: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise _not_json(faults[0]["msg"].removeprefix("Invalid JSON: ")) from error
        raise invalid(
            route.id, [{"loc": list(f["loc"]), "msg": f["msg"], "type": f["type"]} for f in faults]
        ) from error


def _object(route: Route, body: bytes) -> dict[str, Any]:
    try:
        content = from_json(body or b"{}")
    except ValueError as error:
        raise _not_json(str(error)) from error
    if not isinstance(content, dict):
        raise invalid(route.id, [{"loc": [], "msg": "the body must be a JSON object", "type": "dict_type"}])
    return content


def _not_json(where: str) -> InvalidRequest:
    fault = {"loc": ["body"], "msg": where, "type": "json_invalid"}
    return InvalidRequest(f"the body is not valid JSON: {where}", "send a JSON object", errors=[fault])


def _query(query: str) -> dict[str, Any]:
    """Values by name. A repeated name and `name[]` give a list, `name[key]` a mapping."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        brackets = _BRACKETS.fullmatch(name)
        if brackets and brackets[2]:
            inner = found.setdefault(brackets[1], {})
            if isinstance(inner, dict):
                inner[brackets[2]] = value
        elif brackets:
            _append(found, brackets[1], value)
        elif name in found:
            _append(found, name, value)
        else:
            found[name] = value
    return found


def _append(found: dict[str, Any], name: str, value: str) -> None:
    before = found.get(name, [])
    found[name] = [*(before if isinstance(before, list) else [before]), value]


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What `_query` reads back."""
    out: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, dict):
            out += [(f"{name}[{key}]", _text(item)) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            out += [(f"{name}[]", _text(item)) for item in value]
        else:
            out.append((name, _text(value)))
    return out


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
