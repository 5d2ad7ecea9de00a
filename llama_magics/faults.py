"""How an error looks in a cell: a note with the remedy, and two lines in place of a traceback. The cell raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llama_magics import showing
from llama_magics.asking import note
from stack_core.errors import StackError

if TYPE_CHECKING:
    from llama_magics.magics import StackMagics
    from llama_magics.session import Session


def shorten(error: BaseException, magics: StackMagics, session: Session, *, noted: bool = False) -> None:
    """Take secrets out of an error and give it a short display, unless the user wants tracebacks.

    Args:
        noted: the cell's output already has the note.
    """
    if isinstance(error, StackError):
        error.message = session.keys.scrub(error.message)
        error.hint = session.keys.scrub(error.hint) if error.hint else error.hint
        error.args = (error.message,)
        if error.__cause__ is not None and session.keys.scrub(str(error.__cause__)) != str(error.__cause__):
            error.__cause__ = None
            error.__suppress_context__ = True
    if magics.tracebacks:
        return
    if isinstance(error, StackError) and not noted and showing.rich(magics.shell):
        showing.show(note(error, _intact(session)), "")
    vars(error)["_render_traceback_"] = lines(error)


def lines(error: BaseException) -> Callable[[], list[str]]:
    """IPython asks an exception for its traceback under this name; ours is the message and the hint."""

    def render() -> list[str]:
        if not isinstance(error, StackError):
            return ["KeyboardInterrupt: stopped by you"]
        out = [f"{type(error).__name__}: {error.message}"]
        return [*out, f"hint: {error.hint}"] if error.hint else out

    return render


def _intact(session: Session) -> str | None:
    return f"The stack {session.current} is still up." if session.current else None
