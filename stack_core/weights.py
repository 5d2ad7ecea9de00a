"""Fetch the weights of an embedded provider, once, into the user's cache."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from stack_core.errors import NotFound
from stack_core.providers import _registry

PULLABLE = {"minilm": ("inference", "inline::minilm")}
"""What `pull` takes → the provider whose module has `fetch`."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the bytes in all, where that is known."""


def pull(name: str, progress: Progress | None = None) -> Path:
    """Fetch weights; gives the folder they are in. What is already there is not fetched again.

    Raises:
        NotFound: nothing of this name can be fetched.
        ConfigError: it could not be fetched; says from where and what to do.
    """
    if name not in PULLABLE:
        raise NotFound("weights", name, PULLABLE, f"can be fetched: {', '.join(PULLABLE)}")
    spec = _registry.find(*PULLABLE[name])
    fetched: Path = import_module(spec.factory.__module__).fetch(progress=progress)
    return fetched
