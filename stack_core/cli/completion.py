"""`stack-core completion SHELL`"""

from __future__ import annotations

import argparse
import json

HELP = "Print what a shell needs to complete this command with the Tab key."
EXAMPLE = 'eval "$(stack-core completion bash)"'


def arguments(parser: argparse.ArgumentParser) -> None:
    """`SHELL`"""
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def run(options: argparse.Namespace) -> None:
    """Print the script.

    Raises:
        MissingPackage: shtab is not installed.
    """
    from stack_core.cli import parser
    from stack_core.errors import MissingPackage

    try:
        import shtab
    except ImportError as error:
        raise MissingPackage("shtab", needed_by="stack-core completion", extra="server") from error
    script = shtab.complete(parser(), options.shell)
    print(json.dumps({"shell": options.shell, "script": script}) if options.json else script)
