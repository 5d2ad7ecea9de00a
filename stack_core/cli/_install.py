"""Offer to install what a run file's providers and stores miss."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.util import find_spec

from stack_core.errors import ConfigError


def offer(source: str, *, ask: bool) -> None:
    """Install what is missing, after asking where `ask` is set; a "no" goes on without.

    Raises:
        ConfigError: no such run file, nobody can be asked, or pip failed or is not there.
    """
    from stack_core.cli.list_deps import needs

    wanted, _ = needs(source, missing=True)
    if not wanted:
        return
    command = shlex.join(["pip", "install", *wanted])
    if ask:
        print(f"{source} needs packages that are not installed:\n  {command}", file=sys.stderr)
        if not sys.stdin.isatty():
            raise ConfigError("nobody can be asked here", f"say --yes too, or run {command} first")
        print("Install them? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return
    if find_spec("pip") is None:
        raise ConfigError("this environment has no pip", f"install with your own tool: {' '.join(wanted)}")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=False)
    if done.returncode:
        raise ConfigError(f"pip could not install {', '.join(wanted)}", f"see its message above, or run {command}")
