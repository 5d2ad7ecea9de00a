"""The command `stack-core`: one file per verb. Each has `HELP`, `EXAMPLE`, `arguments` (declares them) and `run`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from stack_core.errors import StackError

VERBS = {
    "run": "run",
    "show": "show",
    "list-apis": "list_apis",
    "list-providers": "list_providers",
    "list-distributions": "list_distributions",
    "list-deps": "list_deps",
    "pull": "pull",
    "call": "call",
    "export": "export",
    "stop": "stop",
    "rm": "rm",
    "conformance": "conformance",
    "completion": "completion",
}
"""Verb → its module. Modules import what is heavy inside `run`, so that help is quick."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line; gives the exit status: 0, 1 for an error told with its hint, 2 for wrong usage."""
    options = parser().parse_args(argv)
    try:
        options.run(options)
        sys.stdout.flush()
    except StackError as error:
        print(f"stack-core {options.verb}: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; without this, Python complains once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from stack_core.version import __version__

    whole = argparse.ArgumentParser(
        prog="stack-core",
        description="Llama Stack's embedded core: serve it, and see what it has.",
        epilog="example: stack-core run notebook --port 8321",
    )
    whole.add_argument("--version", action="version", version=f"stack-core {__version__}")
    verbs = whole.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, name in VERBS.items():
        module = import_module(f"stack_core.cli.{name}")
        sub = verbs.add_parser(
            verb,
            help=module.HELP,
            description=module.HELP,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(sub)
        sub.add_argument("--json", action="store_true", help="print JSON for programs")
        sub.set_defaults(run=module.run)
    return whole
