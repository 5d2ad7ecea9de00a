"""`stack-core list-distributions`"""

from __future__ import annotations

import argparse

HELP = "List the distributions: run files that come with the package."
EXAMPLE = "stack-core list-distributions"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None besides `--json`."""


def run(options: argparse.Namespace) -> None:
    """Print one row a distribution."""
    from stack_core import distributions
    from stack_core.cli import _print

    data = [{"name": name, "about": distributions.description(name)} for name in distributions.names()]
    _print.rows(data, ("name", "about"), as_json=options.json)
