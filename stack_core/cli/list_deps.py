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


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME`"""
    parser.add_argument("source", metavar="NAME|FILE", help="a distribution or a run file")


def run(options: argparse.Namespace) -> None:
    """Print one requirement a line; providers that this version does not have are named on stderr.

    Raises:
        ConfigError: no such distribution, or the file is wrong.
    """
    from stack_core.config import load_config
    from stack_core.errors import Unsupported
    from stack_core.providers import _registry

    needed: dict[str, None] = {}
    absent = []
    config = load_config(options.source)
    wanted = [(api, row.provider_type, row.module) for api, rows in config.providers.items() for row in rows]
    # What an unset key switches off is installed too: the key may come later.
    wanted += [(row.api, row.provider_type, None) for row in config.off]
    for api, kind, module in wanted:
        try:
            needed |= dict.fromkeys(_requirements(_registry.find(api, kind, module)))
        except Unsupported:
            absent.append(f"{api}/{kind}")
    if options.json:
        print(json.dumps({"requirements": sorted(needed), "not_in_this_version": absent}, indent=2))
        return
    for requirement in sorted(needed):
        print(requirement)
    if absent:
        print(f"not in this version: {', '.join(absent)}", file=sys.stderr)
    if not needed:
        print("nothing besides llama-magics itself", file=sys.stderr)


def _requirements(spec: Any) -> Iterable[str]:
    """The requirements of the provider's extra, or its packages by name where it has none."""
    if not spec.extra:
        return list(spec.packages)
    rows = metadata.requires("llama-magics") or []
    return [row.split(";")[0].strip() for row in rows if (found := _EXTRA.search(row)) and found[1] == spec.extra]
