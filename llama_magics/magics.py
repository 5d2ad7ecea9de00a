"""`%stack` and `%%stack`: the magic itself and its settings. Reading the line and all that follows is in `cell.py`,
which is imported at the first use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Bool, Enum, Unicode

from llama_magics import project

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llama_magics.results import Shown


@magics_class
class StackMagics(Magics):
    """Settings of the `%stack` language: `%config StackMagics.NAME = VALUE`, `c.StackMagics.NAME` in
    `ipython_config.py`, or `NAME = VALUE` under `[tool.llama-magics]` in the nearest `pyproject.toml`."""

    tracebacks = Bool(False, help="Show Python tracebacks of the stack's errors.").tag(config=True)
    distribution = Unicode("notebook", help="The distribution or file that opens when none was declared.").tag(
        config=True
    )
    model = Unicode("", help="The model to ask where a cell names none; empty: the stack's default.").tag(config=True)
    system = Unicode("", help="Instructions for the model where a cell gives none.").tag(config=True)
    format = Enum(
        ["", "markdown", "text", "json", "html", "code"], "", help="Show results in this one form; empty: all forms."
    ).tag(config=True)
    live = Bool(True, help="Show answers while they grow; off: one final output.").tag(config=True)

    def __init__(self, shell: InteractiveShell, **settings: Any) -> None:
        super().__init__(shell, **settings)
        self.project_fault = project.apply(self, set(self.config.get("StackMagics", ())))

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def stack(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Shown | None:
        """The language of the Llama Stack: `%stack help` lists the verbs.

        `%%stack` with YAML declares a stack, `%%stack ask` asks it, `%stack` shows how it is.
        """
        from llama_magics.cell import run

        return run(self, line, cell, local_ns or {})


def remove(shell: InteractiveShell) -> None:
    """Take the magics out of a shell and close what they opened."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("stack", None)
    shell.magics_manager.registry.pop(StackMagics.__name__, None)
    shell.configurables[:] = [one for one in shell.configurables if type(one).__name__ != StackMagics.__name__]
    if "llama_magics.session" in sys.modules:
        from llama_magics.session import session

        session().close()
