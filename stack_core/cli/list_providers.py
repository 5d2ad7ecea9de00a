"""`stack-core list-providers [API]`"""

from __future__ import annotations

import argparse
from typing import Any

HELP = "List the provider types, and what each needs to run here."
EXAMPLE = "stack-core list-providers inference"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`[API]`"""
    parser.add_argument("api", nargs="?", metavar="API", help="only the providers of this API")


def run(options: argparse.Namespace) -> None:
    """Print one row a provider type.

    Raises:
        NotFound: no provider type is of this API.
    """
    from stack_core.cli import _print
    from stack_core.errors import NotFound
    from stack_core.providers import _registry

    names = _registry.api_names()
    if options.api is not None and options.api not in names:
        raise NotFound("API", options.api, names)
    data: list[dict[str, Any]] = []
    for api in [options.api] if options.api else sorted(names):
        here = {spec.type: spec for spec in _registry.known(api)}
        for kind in sorted(_registry.types(api)):
            data.append({"api": api, "provider_type": kind, **_about(here.get(kind))})
    _print.rows(data, ("api", "provider_type", "status", "needs", "about"), as_json=options.json)


def _about(spec: Any) -> dict[str, Any]:
    if spec is None:
        return {"status": "not in this version", "needs": [], "about": ""}
    missing = spec.missing()
    needs = [f"llama-magics[{spec.extra}]"] if missing and spec.extra else missing
    status = "package missing" if missing else "ready"
    return {"status": status, "needs": needs, "about": spec.doc.split("\n", 1)[0]}
