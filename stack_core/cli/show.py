"""`stack-core show NAME|FILE`"""

from __future__ import annotations

import argparse
import json

HELP = "Show a run configuration as it comes out after expansion and substitution; secrets are masked."
EXAMPLE = "stack-core show starter"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME|FILE`"""
    parser.add_argument("source", metavar="NAME|FILE", help="a distribution or a run file")


def run(options: argparse.Namespace) -> None:
    """Print it as YAML, or as JSON.

    Raises:
        ConfigError: no such distribution, or the file is wrong.
    """
    import yaml

    from stack_core.config import load_config

    shown = load_config(options.source).redacted()
    if options.json:
        print(json.dumps(shown, indent=2, ensure_ascii=False, default=str))
    else:
        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
