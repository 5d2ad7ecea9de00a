"""`stack-core list-deps NAME`"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Any

HELP = "List the packages that a distribution's providers need besides this one, as pip takes them."
EXAMPLE = "pip install $(stack-core list-deps starter)"

_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
_NAME = re.compile(r"[\w.-]+")


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME`"""
    parser.add_argument("source", metavar="NAME|FILE", help="a distribution or a run file")


def run(options: argparse.Namespace) -> None:
    """Print one requirement a line; providers that this version does not have are named on stderr.

    Raises:
        ConfigError: no such distribution, or the file is wrong.
    """
    needed, absent = needs(options.source)
    if options.json:
        print(json.dumps({"requirements": needed, "not_in_this_version": absent}, indent=2))
        return
    for requirement in needed:
        print(requirement)
    if absent:
        print(f"not in this version: {', '.join(absent)}", file=sys.stderr)
    if not needed:
        print("nothing besides llama-magics itself", file=sys.stderr)


def needs(source: str, *, missing: bool = False) -> tuple[list[str], list[str]]:
    """(what pip needs for the providers and stores of a run file, `api/type` of the providers that are not there).

    Args:
        missing: only what is not installed.

    Raises:
        ConfigError: no such distribution, or the file is wrong.
    """
    from stack_core import external
    from stack_core.config import load_config
    from stack_core.errors import MissingPackage, Unsupported
    from stack_core.providers import _registry
    from stack_core.storage.kinds import KINDS

    config = load_config(source)
    external.load(config.external_providers_dir, config.external_apis_dir)
    needed: dict[str, None] = {}
    absent = []
    wanted = [(api, row.provider_type, row.module) for api, rows in config.providers.items() for row in rows]
    # What an unset key switches off is installed too: the key may come later.
    wanted += [(row.api, row.provider_type, None) for row in config.off]
    for api, kind, module in wanted:
        try:
            spec = _registry.find(api, kind, module)
            if spec.missing() or not missing:
                needed |= dict.fromkeys(_requirements(spec))
        except MissingPackage as error:
            needed[error.package] = None
        except Unsupported:
            absent.append(f"{api}/{kind}")
    for backend in config.storage.backends.values():
        found = KINDS.get(str(backend.get("type")))
        if found is not None and (found.missing("") or not missing):
            needed |= dict.fromkeys(_of_extra(found.extra))
    return sorted(needed), absent


def _requirements(spec: Any) -> Iterable[str]:
    """What the provider says, else those of its extra, else its packages by name."""
    return list(spec.requirements) or _of_extra(spec.extra) or map(_as_declared, spec.packages)


def _as_declared(package: str) -> str:
    """A package with the versions that this one itself asks for, where it does."""
    rows = [row.split(";")[0].strip() for row in metadata.requires("llama-magics") or []]
    return next((row for row in rows if (found := _NAME.match(row)) and found[0] == package), package)


def _of_extra(extra: str | None) -> list[str]:
    rows = metadata.requires("llama-magics") or []
    return [row.split(";")[0].strip() for row in rows if (found := _EXTRA.search(row)) and found[1] == extra]
