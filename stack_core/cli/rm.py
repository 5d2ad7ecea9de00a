"""`stack-core rm NAME`"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

HELP = "Remove what a stack keeps in the user's folder: its stores and files. The distribution itself stays."
EXAMPLE = "stack-core rm starter"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME [--yes]`"""
    parser.add_argument("name", metavar="NAME", help="the stack's name, as list-distributions or your run file has it")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> None:
    """Remove the folder, after asking.

    Raises:
        NotFound: nothing of that name is kept.
        Conflict: a server of that name runs, or nobody can be asked.
    """
    from stack_core.distributions import home
    from stack_core.errors import Conflict, NotFound
    from stack_core.server import running

    folders = {folder.name: folder for folder in home().iterdir() if folder.is_dir()} if home().is_dir() else {}
    if options.name not in folders:
        raise NotFound("stack with something kept", options.name, folders)
    folder = folders[options.name]
    if any(server.name == options.name for server in running.servers()):
        raise Conflict(f"{options.name} is being served", f"stack-core stop {options.name}")
    count, size = _measure(folder)
    if not options.yes:
        if not sys.stdin.isatty():
            raise Conflict(f"{folder} holds {count} files, {size:,} bytes", "--yes removes it without asking")
        if input(f"Remove {folder} with {count} files, {size:,} bytes? [y/N] ").strip().lower() not in ("y", "yes"):
            return
    shutil.rmtree(folder)
    print(json.dumps({"removed": str(folder), "files": count, "bytes": size}) if options.json else f"removed {folder}")


def _measure(folder: Path) -> tuple[int, int]:
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()]
    return len(sizes), sum(sizes)
