"""`call`: any method of any API, its arguments as `name=value` in YAML."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_magics import source
from llama_magics.render.words import count
from llama_magics.results import Listing, Shown, Value
from llama_magics.session import Session
from stack_core import context
from stack_core.apis import FileContent, Route, all_routes, protocol, routes_of
from stack_core.errors import InvalidRequest
from stack_core.names import find_method
from stack_core.yaml_text import read_yaml

if TYPE_CHECKING:
    from llama_magics.cell import Cell


def run(cell: Cell) -> Shown:
    """Call what the first word names with the arguments of the others; without one list the methods."""
    if not cell.line.words:
        return methods()
    name, *pairs = cell.line.words
    arguments = dict(_argument(cell, word.text) for word in pairs)
    plain = {key: value for key, value in arguments.items() if _is_plain(value)}
    named = {w.text.partition("=")[0]: w.text.partition("=")[2] for w in pairs}
    others = {k: source.Source(named[k].strip().strip("{}").strip()) for k in arguments.keys() - plain.keys()}
    method = cell.text(name.text)
    code = source.call("call", method, out=cell.line.options.get("out"), **{**plain, **others})
    return call(cell.session, method, arguments, code)


def call(session: Session, method: str, arguments: Mapping[str, Any], code: str = "") -> Shown:
    """Call `api.method`; what streams is gathered, and a list comes as a table.

    Raises:
        NotFound: no such API or method.
        InvalidRequest: wrong arguments, each named.
    """
    route = find_method(method)
    opened = session.opened()
    trace: list[str] = []

    given = dict(arguments)
    if route.upload in given and isinstance(given[route.upload], str):
        given[route.upload] = Path(given[route.upload]).expanduser()

    async def work(_: Any) -> Any:
        context.trace_id.set(trace)
        found = await getattr(getattr(opened.stack, route.api), route.name)(**given)
        if isinstance(found, FileContent):
            return _readable(await found.read())
        if not isinstance(found, AsyncIterator):
            return found
        async with aclosing(found) as items:  # type: ignore[type-var]  # every stream of ours can be closed
            return [item async for item in items]

    started = time.perf_counter()
    found = session.run(work)
    seconds = time.perf_counter() - started
    if route.api == "models":
        session.run(lambda _: opened.models())  # a name that is new is a name to ask from now on
    rows = found if isinstance(found, list) else getattr(found, "data", None)
    if isinstance(rows, list) and rows and all(isinstance(row, dict) or hasattr(row, "model_dump") for row in rows):
        return _table(route.id, rows, code, more=bool(getattr(found, "has_more", False)))
    return Value(route.id, found, seconds, trace[0] if trace else None, code)


def methods(api: str | None = None) -> Listing:
    """What can be called, with what each takes."""
    routes = routes_of(protocol(api)) if api else all_routes()
    rows = [[route.id, signature(route), route.doc.partition("\n")[0]] for route in routes]
    code = source.call("show", "apis", *([api] if api else []))
    step = ("%stack call models.list_models", "calls one")
    say = f"{count(len(rows), 'method')} can be called."
    return Listing("apis", ["method", "arguments", "does"], rows, say, [step], code)


def fields(route: Route) -> dict[str, bool]:
    """The arguments of a method, those of its request model in its place → whether they are required."""
    if route.request is not None:
        return {name: field.is_required() for name, field in route.request.model_fields.items()}
    return {param.name: param.default is param.empty for param in route.params}


def signature(route: Route) -> str:
    """The required arguments by name, and how many optional ones there are."""
    known = fields(route)
    required = [name for name, needed in known.items() if needed]
    optional = len(known) - len(required)
    return " ".join([f"{name}=…" for name in required] + ([f"({optional} optional)"] if optional else []))


def _argument(cell: Cell, written: str) -> tuple[str, Any]:
    name, equals, value = written.partition("=")
    if not equals or not name.isidentifier():
        raise InvalidRequest(f"{written!r} is not name=value", "such as model=fast or input='[a, b]'")
    found = cell.value(value)
    return name, read_yaml(found, name) if isinstance(found, str) else found


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _readable(content: bytes) -> str | bytes:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def _table(title: str, rows: list[Any], code: str, *, more: bool) -> Listing:
    plain = [row if isinstance(row, dict) else row.model_dump(mode="json") for row in rows]
    columns = list(dict.fromkeys(key for row in plain for key in row))
    say = f"{count(len(rows), 'item')}{', and more follow' if more else ''}."
    return Listing(title, columns, [[row.get(key) for key in columns] for row in plain], say, code=code)
