"""`stack-core pull NAME`"""

from __future__ import annotations

import argparse
import json
import sys

HELP = "Fetch the weights of an embedded provider, once."
EXAMPLE = "stack-core pull minilm"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME`"""
    parser.add_argument("name", metavar="NAME", help="what to fetch, such as minilm")


def run(options: argparse.Namespace) -> None:
    """Fetch, with a line of progress on a terminal, and print the folder.

    Raises:
        NotFound: nothing of this name can be fetched.
        ConfigError: it could not be fetched.
    """
    from stack_core.weights import pull

    folder = pull(options.name, _progress if sys.stderr.isatty() else None)
    print(json.dumps({"name": options.name, "path": str(folder)}) if options.json else folder)


def _progress(done: int, total: int | None) -> None:
    whole = f" of {total / 1e6:.1f}" if total else ""
    print(f"\r{done / 1e6:.1f}{whole} MB", end="\n" if done == total else "", file=sys.stderr, flush=True)
