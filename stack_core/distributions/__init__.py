"""Distributions: run files that come with the package. A distribution is data; to add one, add a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    """The distributions, by name. A variant is `starter/run-with-postgres-store`; a file that only others extend begins
    with an underscore and is no distribution."""
    plain = [file.stem for file in _FOLDER.glob("*.yaml") if not file.stem.startswith("_")]
    variants = [f"{file.parent.name}/{file.stem}" for file in _FOLDER.glob("*/*.yaml")]
    return tuple(sorted(plain) + sorted(variants))


def path(name: str) -> Path:
    """The run file of a distribution."""
    return _FOLDER / f"{name}.yaml"


def description(name: str) -> str:
    """The first comment line of the run file: what the distribution is for."""
    first = path(name).read_text("utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def home() -> Path:
    """Where stacks keep their things unless a run file says otherwise, one folder each (as Llama Stack does)."""
    return Path("~/.llama/distributions").expanduser()
