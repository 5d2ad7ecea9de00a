"""The embedded core of Llama Stack for notebooks: open a distribution and call its APIs in process, or over HTTP.

async with Stack.open("starter") as stack:
    answer = await stack.inference.chat_completion(model="ollama/llama3.2:3b", messages=[…])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stack_core import errors
from stack_core.version import __version__

if TYPE_CHECKING:
    from stack_core.client import AsyncStackClient
    from stack_core.stack import Stack
    from stack_core.sync_client import StackClient
    from stack_core.weights import pull

__all__ = ["AsyncStackClient", "Stack", "StackClient", "__version__", "errors", "pull"]

_HOMES = {
    "AsyncStackClient": "stack_core.client",
    "Stack": "stack_core.stack",
    "StackClient": "stack_core.sync_client",
    "pull": "stack_core.weights",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stack_core' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
