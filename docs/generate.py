"""The reference pages, written from the declarations: `python docs/generate.py`.

With `--check` nothing is written; it fails where a page is out of date."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stack_core.apis import APIS, protocol
from stack_core.apis._declare import Route, routes_of
from stack_core.providers import _registry
from stack_core.providers._planned import PLANNED

FOLDER = Path(__file__).parent
HEAD = "<!-- Written by docs/generate.py from the declarations; `make docs` writes it anew. -->\n"


def apis() -> Iterator[str]:
    """The page of the APIs: every route, its arguments and its result."""
    yield "# APIs\n"
    yield (
        "In a notebook: `%stack call API.METHOD name=value`. In Python: `await stack.API.METHOD(name=value)` on a "
        "`Stack` or a `StackClient`. Over HTTP: the path. All three go through the same door.\n"
    )
    for name in APIS:
        api = protocol(name)
        module = sys.modules[api.__module__]
        yield f"## {name}\n"
        yield (inspect.getdoc(module) or "") + "\n"
        yield "| method | HTTP | does |\n| --- | --- | --- |"
        for route in routes_of(api):
            yield f"| [`{route.name}`](#{_anchor(route)}) | `{route.verb} {route.url}` | {_cell(route.doc)} |"
        yield ""
        for route in routes_of(api):
            yield from _route(route)


def _route(route: Route) -> Iterator[str]:
    yield f"### {route.id}\n"
    yield f"`{route.verb} {route.url}` → {_result(route)}\n"
    rows = list(_arguments(route))
    if rows:
        yield "| argument | type | about |\n| --- | --- | --- |"
        yield from rows
        yield ""


def _arguments(route: Route) -> Iterator[str]:
    for param in route.params:
        if param.name != "request":
            field = FieldInfo.from_annotation(param.annotation)
            yield _row(param.name, field, param.default is inspect.Parameter.empty)
    if route.request:
        for name, field in route.request.model_fields.items():
            yield _row(field.alias or name, field, field.is_required())


def _row(name: str, field: FieldInfo, needed: bool) -> str:
    about = [_bounds(field.metadata), field.description or "", "required" if needed else ""]
    text = "; ".join(part.rstrip(".") for part in about if part)
    return f"| `{name}` | {_type(field.annotation)} | {_cell(text)} |"


def _result(route: Route) -> str:
    plain = _type(route.result) if route.result else "nothing"
    return f"{plain}, or a stream of {_type(route.item)}" if route.item else plain


def providers() -> Iterator[str]:
    """The page of the providers: every type, its config and its variables."""
    yield "# Providers\n"
    yield (
        "A run file names a provider by its type; the notebook's short form by what follows `::`, with `?` for "
        '“only if its key is set”: `providers: {inference: [ollama, "openai?"]}`.\n'
    )
    for api in sorted(_registry.api_names()):
        specs = _registry.known(api)
        if not specs:
            continue
        yield f"## {api}\n"
        yield "| type | short name | what | needs |\n| --- | --- | --- | --- |"
        for spec in specs:
            short = spec.type.partition("::")[2]
            needs = f"`pip install 'llama-magics[{spec.extra}]'`" if spec.extra else ", ".join(spec.packages)
            yield f"| [`{spec.type}`](#{_slug(spec.type)}) | `{short}` | {_cell(_first(spec.doc))} | {needs} |"
        yield ""
        for spec in specs:
            yield from _provider(spec)
    yield "## Not yet\n"
    yield "A run file that names one of these loads, and lists it as unavailable.\n"
    yield from (f"- `{name}`" for name in sorted(PLANNED))


def _provider(spec: _registry.ProviderSpec) -> Iterator[str]:
    yield f"### {spec.type}\n"
    yield f"{spec.doc}\n"
    yield "| config | type | default | in the short form | about |\n| --- | --- | --- | --- | --- |"
    for name, field in spec.config.model_fields.items():
        default = _default(field.get_default(call_default_factory=True)) if not field.is_required() else "required"
        sample = spec.sample.get(name)
        written = f"`{sample}`" if sample is not None else ""
        yield f"| `{name}` | {_type(field.annotation)} | {default} | {written} | {_cell(field.description or '')} |"
    yield ""


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined or value in ({}, [], ""):
        return ""
    if isinstance(value, BaseModel):
        return ""
    return f"`{value}`"


def _type(annotation: Any) -> str:
    """`list[str] | None`, without module names."""
    return "`" + _name(annotation).replace("|", r"\|") + "`"


def _name(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (None, types.NoneType):
        return "None"
    if origin is typing.Annotated:
        return _name(parts[0])
    if origin is typing.Literal:
        return " | ".join(repr(part) for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_name(part) for part in parts)
    if origin is not None:
        return f"{_name(origin)}[{', '.join(_name(part) for part in parts)}]"
    return getattr(annotation, "__name__", str(annotation))


def _bounds(metadata: list[Any]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(f"{signs[n]} {getattr(m, n)}" for m in metadata for n in signs if getattr(m, n, None) is not None)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _first(doc: str) -> str:
    return re.split(r"(?<=\.)\s|\n\n", doc, maxsplit=1)[0]


def _anchor(route: Route) -> str:
    return _slug(route.id)


def _slug(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


PAGES: dict[str, Callable[[], Iterator[str]]] = {"apis.md": apis, "providers.md": providers}


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is out of date")
    check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        text = HEAD + "\n" + "\n".join(page()).rstrip("\n") + "\n"
        file = FOLDER / name
        if file.exists() and file.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not check:
            file.write_text(text, "utf-8")
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(f'docs/{name}' for name in stale)}")
    if check and stale:
        print("`make docs` writes them anew")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
