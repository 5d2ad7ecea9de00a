"""`stack-core call API.METHOD name=value…`"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stack_core.apis import Route

HELP = "Call any method of any API: in this process, or on a server."
EXAMPLE = "stack-core call models.list_models --on starter"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`API.METHOD [name=value…] [--on NAME|FILE|URL]`"""
    parser.add_argument("method", metavar="API.METHOD", help="such as models.list_models; list-apis shows all")
    parser.add_argument(
        "values",
        nargs="*",
        metavar="name=value",
        help="a value is YAML, so JSON too; @PATH is a file's text, and for an upload the file itself",
    )
    parser.add_argument(
        "--on", default="notebook", metavar="NAME|FILE|URL", help="a distribution, a run file, or a server's URL"
    )
    parser.add_argument("--api-key", help="what the server asks for as a bearer token")


def run(options: argparse.Namespace) -> None:
    """Print the result as JSON; of a stream one line an item; of a file its bytes.

    Raises:
        StackError: what the call raised.
    """
    from stack_core.names import find_method

    route = find_method(options.method)
    given = dict(_argument(route, pair) for pair in options.values)
    asyncio.run(_call(_opened(options), route, given))


def _opened(options: argparse.Namespace) -> AbstractAsyncContextManager[Any]:
    if options.on.startswith(("http://", "https://")):
        from stack_core import AsyncStackClient

        return AsyncStackClient(options.on, api_key=options.api_key)
    from stack_core import Stack

    return Stack.open(options.on)


async def _call(opening: AbstractAsyncContextManager[Any], route: Route, given: dict[str, Any]) -> None:
    from stack_core.apis._content import FileContent

    async with opening as stack:
        found = await stack.call(route, route.arguments((), given))
        if hasattr(found, "__aiter__"):
            async for item in found:
                print(_text(item), flush=True)
        elif isinstance(found, FileContent):
            async for piece in found.chunks():
                sys.stdout.buffer.write(piece)
            sys.stdout.flush()
        elif found is not None:
            print(_text(found, indent=2))


def _argument(route: Route, pair: str) -> tuple[str, Any]:
    from stack_core.errors import InvalidRequest
    from stack_core.yaml_text import read_yaml

    name, equals, text = pair.partition("=")
    if not equals or not name.isidentifier():
        raise InvalidRequest(f"{pair!r} is not name=value", "such as model=llama-cpp/tutorial")
    if not text.startswith("@"):
        return name, read_yaml(text, name)
    path = Path(text[1:]).expanduser()
    if name == route.upload:
        return name, path
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{name}: {path} cannot be read: {error}") from error
    return name, read_yaml(content, str(path)) if path.suffix in (".json", ".yaml", ".yml") else content


def _text(value: Any, indent: int | None = None) -> str:
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(value, by_alias=True, exclude_none=True)
    return json.dumps(plain, indent=indent, ensure_ascii=False)
