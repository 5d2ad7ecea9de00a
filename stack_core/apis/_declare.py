"""The only meta-programming: a method of an API's Protocol says once which route it is.

`@route(verb, path, level=…, key=…)` marks it, `routes_of(api)` reads the marks back as plain `Route` records, and the
dispatcher, the server, the client, `%stack call` and the reference read those.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from stack_core.apis._content import Upload
from stack_core.errors import InvalidRequest, nearest

Verb = Literal["GET", "POST", "PUT", "DELETE"]
Level = Literal["v1", "v1beta", "v1alpha"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Route:
    """One method of one API. `key` names the argument (or the field of the request model) that selects the provider."""

    verb: Verb
    path: str
    level: Level
    key: str | None
    api: str
    name: str
    params: tuple[inspect.Parameter, ...]
    returns: Any
    doc: str
    sdk: str | None = None
    """The method of Llama Stack's client that makes this call, such as `vector_stores.files.create`; where it has
    several, all of them with a space between."""

    @property
    def id(self) -> str:
        """`inference.chat_completion`: how people and spans name the route."""
        return f"{self.api}.{self.name}"

    @property
    def url(self) -> str:
        """The path with its level: `/v1/chat/completions`."""
        return f"/{self.level}{self.path}"

    @cached_property
    def path_params(self) -> frozenset[str]:
        """Names inside braces; `{model_id:path}` may hold slashes."""
        return frozenset(re.findall(r"{(\w+)", self.path))

    @cached_property
    def request(self) -> type[BaseModel] | None:
        """The request model, where the method takes one (the parameter is then named `request`)."""
        for param in self.params:
            if param.name == "request":
                return typing.cast("type[BaseModel]", param.annotation)
        return None

    @cached_property
    def upload(self) -> str | None:
        """The field of the request model that takes a file: the request is then a multipart form."""
        fields = self.request.model_fields if self.request is not None else {}
        return next((name for name, field in fields.items() if Upload in _union_parts(field.annotation)), None)

    @cached_property
    def item(self) -> Any:
        """The type of one streamed item, or None where the method never streams."""
        for part in _union_parts(self.returns):
            if typing.get_origin(part) is AsyncIterator:
                return typing.get_args(part)[0]
        return None

    @cached_property
    def result(self) -> Any:
        """The type of the plain result, or None where there is none."""
        parts = [p for p in _union_parts(self.returns) if typing.get_origin(p) is not AsyncIterator]
        return parts[0] if parts and parts[0] is not types.NoneType else None

    @cached_property
    def adapters(self) -> Mapping[str, TypeAdapter[Any]]:
        """One validator a parameter."""
        return {p.name: TypeAdapter(p.annotation) for p in self.params}

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Checked arguments for the method. With a request model its fields may be given as keywords.

        Raises:
            InvalidRequest: with every fault and its place.
        """
        names = [p.name for p in self.params]
        if len(args) > len(names):
            raise InvalidRequest(f"{self.id} takes at most {len(names)} positional arguments, not {len(args)}")
        given = dict(zip(names, args, strict=False))
        if twice := given.keys() & kwargs.keys():
            raise InvalidRequest(f"{self.id}: {', '.join(sorted(twice))} given twice")
        given |= kwargs
        if self.request is not None and not isinstance(given.get("request"), self.request):
            given = self._fold(given)
        return self._checked(given)

    def _fold(self, given: dict[str, Any]) -> dict[str, Any]:
        """Put the loose keywords into the request model's place, with a mapping under `request` merged in."""
        others = {p.name for p in self.params} - {"request"}
        base = given.pop("request", None) or {}
        body = {**dict(base), **{k: v for k, v in given.items() if k not in others}}
        return {"request": body, **{k: v for k, v in given.items() if k in others}}

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        known = {p.name: p for p in self.params}
        faults: list[dict[str, Any]] = []
        out: dict[str, Any] = {}
        for name in given.keys() - known.keys():
            close = nearest(name, known)
            faults.append(
                {
                    "loc": [name],
                    "msg": "unknown argument" + (f", did you mean {close[0]}?" if close else ""),
                    "type": "extra_forbidden",
                }
            )
        for name, param in known.items():
            if name not in given:
                if param.default is inspect.Parameter.empty:
                    faults.append({"loc": [name], "msg": "field required", "type": "missing"})
                else:
                    out[name] = param.default
                continue
            if given[name] == "" and name in self.path_params:
                faults.append({"loc": [name], "msg": "must not be empty", "type": "string_too_short"})
                continue
            try:
                out[name] = self.adapters[name].validate_python(given[name])
            except ValidationError as error:
                prefix = [] if name == "request" else [name]
                faults += [{"loc": prefix + list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors()]
        if faults:
            raise invalid(self.id, faults)
        return out


def invalid(where: str, faults: list[dict[str, Any]]) -> InvalidRequest:
    """One error that names every fault with its path."""
    lines = "; ".join(f"{'.'.join(map(str, f['loc'])) or 'body'}: {f['msg']}" for f in faults[:8])
    more = f" (and {len(faults) - 8} more)" if len(faults) > 8 else ""
    return InvalidRequest(f"{where}: {lines}{more}", errors=faults)


def route(
    verb: Verb, path: str, *, level: Level = "v1", key: str | None = None, sdk: str | None = None
) -> Callable[[F], F]:
    """Say that this method of the Protocol answers `verb path` at `level`, which argument selects the provider, and
    under which name Llama Stack's client has it."""

    def mark(method: F) -> F:
        method.__route__ = (verb, path, level, key, sdk)  # type: ignore[attr-defined]  # a mark that only routes_of reads
        return method

    return mark


@cache
def routes_of(api: type) -> tuple[Route, ...]:
    """The routes of an API, in the order of their declaration. The API's name is its module's."""
    found = []
    for name, method in vars(api).items():
        mark = getattr(method, "__route__", None)
        if mark is None:
            continue
        verb, path, level, key, sdk = mark
        hints = typing.get_type_hints(method, include_extras=True)
        params = list(inspect.signature(method).parameters.values())[1:]
        typed = tuple(p.replace(annotation=hints[p.name]) for p in params)
        doc = inspect.getdoc(method) or ""
        found.append(Route(verb, path, level, key, api_name(api), name, typed, hints["return"], doc, sdk))
    return tuple(found)


def api_name(api: type) -> str:
    """`inference` for `stack_core.apis.inference.Inference`; a third party's API bears its name (see `register`)."""
    return vars(api).get("__api__") or api.__module__.rpartition(".")[2]


def _union_parts(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)
