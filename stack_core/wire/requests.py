"""Arguments as an HTTP request: `arguments` reads them on the server, `outgoing` writes them in the client."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from stack_core.apis._declare import Route, invalid
from stack_core.errors import InvalidRequest
from stack_core.wire.form_body import FormBody
from stack_core.wire.forms import FORM, plain, read_form
from stack_core.wire.queries import pairs, parse

PROVIDER_DATA = ("x-llamastack-provider-data", "x-ogx-provider-data")
"""Request headers that carry per-request provider keys as a JSON object."""

CLIENT_VERSION = "x-llamastack-client-version"
"""Sent by Llama Stack's own clients. No version is refused."""

JSON = "application/json"

_IN_URL = frozenset({"GET", "DELETE"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to send: `target` is path and query, percent-encoded; `body` is JSON, or a form with a file."""

    verb: str
    target: str
    body: bytes | FormBody | None


def arguments(
    route: Route, path: Mapping[str, str], query: str, body: bytes, content_type: str = JSON
) -> dict[str, Any]:
    """The checked arguments of a request without a file.

    Raises:
        InvalidRequest: with every fault and its place, or the place in the text where the body stops being JSON.
    """
    if route.verb in _IN_URL:
        return route.arguments((), {**_asked(route, query), **path})
    if body:
        _check_json(route, body, content_type)
    if route.request is None:
        return route.arguments((), {**_object(route, body), **path})
    if len(route.params) == 1:
        return {"request": _model(route, route.request, body)}
    return route.arguments((), {"request": _model(route, route.request, body), **path})


async def form_arguments(
    route: Route,
    path: Mapping[str, str],
    pieces: AsyncIterable[bytes],
    content_type: str,
    files: ExitStack,
    *,
    most: int | None = None,
) -> dict[str, Any]:
    """The checked arguments of a request that brings a file in a form.

    Args:
        pieces: the body as it arrives.
        files: closes what is kept of it when the call is over.
        most: bytes that the file may have; None is no limit.

    Raises:
        InvalidRequest: with every fault and its place.
        PayloadTooLarge: the form is too big.
    """
    if route.upload is None:
        raise _unreadable(f"{route.id} takes JSON, not a form", f"send content-type: {JSON}")
    fields = await read_form(content_type, pieces, route.upload, files, most)
    if stray := fields.keys() & path.keys():
        raise _unreadable(f"{min(stray)} stands in the URL already", "leave it out of the form")
    known = route.request.model_fields if route.request is not None else {}
    for name in fields.keys() & known.keys():
        if not _takes_text(known[name].annotation):
            fields[name] = plain(fields[name])
    return route.arguments((), {"request": fields, **path})


def _takes_text(annotation: Any) -> bool:
    """Whether a text is meant as it stands, also where it looks like JSON."""
    return annotation is str or (get_origin(annotation) in (Union, UnionType) and str in get_args(annotation))


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
        query = urlencode(pairs({**shown, **rest}))
        return Outgoing(route.verb, f"{path}?{query}" if query else path, None)
    if route.upload is not None and request is not None:
        shown = request.model_dump(mode="json", exclude={route.upload}, exclude_none=True, by_alias=True)
        return Outgoing(route.verb, path, FormBody(shown, route.upload, getattr(request, route.upload)))
    try:
        if isinstance(request, BaseModel):
            return Outgoing(route.verb, path, _written(request))
        return Outgoing(route.verb, path, to_json(rest, exclude_none=True))
    except PydanticSerializationError as error:
        raise InvalidRequest(f"{route.id}: an argument cannot be sent as JSON: {error}") from error


def _written(request: BaseModel) -> bytes:
    """The JSON of a request. What is None is left out, but for a field that must be there: its null says something."""
    text: bytes = type(request).__pydantic_serializer__.to_json(request, exclude_none=True)
    fields = type(request).model_fields.items()
    nulls = {name: None for name, field in fields if field.is_required() and getattr(request, name) is None}
    return to_json({**from_json(text), **nulls}) if nulls else text


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


def _asked(route: Route, query: str) -> dict[str, Any]:
    """The arguments in a query; each by its own name, a whole request never under one."""
    found = parse(query)
    if route.request is not None and "request" in found and "request" not in route.request.model_fields:
        fault = {"loc": ["request"], "msg": "unknown argument", "type": "extra_forbidden"}
        raise invalid(route.id, [fault])
    return found


def _check_json(route: Route, body: bytes, content_type: str) -> None:
    """Refuse what is said to be no JSON, and the numbers that JSON does not have."""
    if content_type != JSON and content_type:
        kind = content_type.partition(";")[0].strip().lower()
        if kind != JSON and not kind.endswith("+json"):
            raise _unreadable(f"{route.id} takes JSON, not {kind}", f"send content-type: {JSON}")
    if b"NaN" in body or b"Infinity" in body:
        try:
            from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise _not_json(str(error)) from error


def check_no_file(route: Route) -> None:
    """Refuse a call without a form where the route takes a file.

    Raises:
        InvalidRequest: it does.
    """
    if route.upload is not None:
        hint = f"send {FORM}, as curl -F {route.upload}=@NAME does"
        raise _unreadable(f"{route.id} takes a file: the body must be a form with the part {route.upload!r}", hint)


def _unreadable(message: str, hint: str) -> InvalidRequest:
    fault = {"loc": ["header", "content-type"], "msg": message, "type": "content_type"}
    return InvalidRequest(message, hint, errors=[fault])


def _not_json(where: str) -> InvalidRequest:
    fault = {"loc": ["body"], "msg": where, "type": "json_invalid"}
    return InvalidRequest(f"the body is not valid JSON: {where}", "send a JSON object", errors=[fault])
