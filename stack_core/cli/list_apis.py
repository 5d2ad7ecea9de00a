"""`stack-core list-apis`"""

from __future__ import annotations

import argparse
import inspect

HELP = "List the APIs, with their routes."
EXAMPLE = "stack-core list-apis"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None besides `--json`."""


def run(options: argparse.Namespace) -> None:
    """Print one row an API."""
    from stack_core.apis import APIS, protocol
    from stack_core.apis._declare import routes_of
    from stack_core.cli import _print

    data = []
    for name in APIS:
        api = protocol(name)
        routes = [f"{route.verb} {route.url}" for route in routes_of(api)]
        data.append({"api": name, "about": (inspect.getdoc(api) or "").split("\n", 1)[0], "routes": routes})
    _print.rows(data, ("api", "routes", "about"), as_json=options.json)
