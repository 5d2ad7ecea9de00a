"""Llama Stack in a notebook: `%load_ext llama_magics`, then `%%stack`.

`from llama_magics import stack` is the session of this kernel as a Python object: every cell has a twin there, and
`%stack code` prints it. Loading registers names only; the stack core is imported at the first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llama_magics.twin import Twin

    stack: Twin

__all__ = ["load_ipython_extension", "stack", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register `%stack`, `%%stack` and their completion (`%load_ext llama_magics`)."""
    from llama_magics.complete import install
    from llama_magics.magics import StackMagics

    shell.register_magics(StackMagics)
    install(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away and close every open stack (`%unload_ext llama_magics`)."""
    from llama_magics.complete import uninstall
    from llama_magics.magics import remove

    uninstall(shell)
    remove(shell)


def __getattr__(name: str) -> Any:
    if name == "stack":
        from llama_magics.twin import twin

        return twin()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
