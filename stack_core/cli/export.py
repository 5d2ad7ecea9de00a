"""`stack-core export NAME|FILE`"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "Write a run file in full, with what it extends and its variables as they stand, or what it needs from pip."
EXAMPLE = "stack-core export starter --output run.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME|FILE [--what run|requirements] [--output FILE]`"""
    parser.add_argument("source", metavar="NAME|FILE", help="a distribution or a run file")
    parser.add_argument("--what", choices=("run", "requirements"), default="run", help="default: run")
    parser.add_argument("--output", "-o", metavar="FILE", help="where to write it (default: standard output)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def run(options: argparse.Namespace) -> None:
    """Print it or write it.

    Raises:
        ConfigError: no such distribution, the file is wrong, or the output is there already.
    """
    from stack_core.errors import ConfigError

    text = _requirements(options) if options.what == "requirements" else _run_file(options)
    if options.output is None:
        print(text, end="")
        return
    path = Path(options.output).expanduser()
    if path.exists() and not options.force:
        raise ConfigError(f"{path} is there already", "--force overwrites it")
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error


def _run_file(options: argparse.Namespace) -> str:
    import yaml

    from stack_core.config import full_form

    full = full_form(options.source)
    if options.json:
        return json.dumps(full, indent=2, ensure_ascii=False, default=str) + "\n"
    text: str = yaml.safe_dump(full, sort_keys=False, allow_unicode=True, width=120)
    return text


def _requirements(options: argparse.Namespace) -> str:
    from stack_core.cli.list_deps import needs

    found, _ = needs(options.source)
    if options.json:
        return json.dumps(found, indent=2) + "\n"
    return "".join(f"{line}\n" for line in found)
