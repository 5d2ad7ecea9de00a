"""How an error looks in a cell: a note with the remedy, and two lines in place of a traceback. The cell raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llama_magics import showing
from llama_magics.asking import note, remedy
from stack_core.errors import ProviderError, StackError

if TYPE_CHECKING:
    from llama_magics.magics import StackMagics
    from llama_magics.session import Session


def shorten(error: BaseException, magics: StackMagics, session: Session, *, noted: bool = False) -> None:
    """Take secrets out of an error and give it a short display, unless the user wants tracebacks.

    Args:
        noted: the cell's output already has the note.
    """
    _scrub(error, session)
    if magics.tracebacks:
        return
    if isinstance(error, StackError) and not noted and showing.rich(magics.shell):
        showing.show(note(error, _intact(error, session)), "")
    vars(error)["_render_traceback_"] = lines(error)


@contextmanager
def briefly(session: Session) -> Iterator[None]:
    """What the Python twins raise looks as it does in a cell: no secrets, no traceback through our own code.

    There is no note: the caller may mean to catch it.
    """
    try:
        yield
    except (StackError, KeyboardInterrupt) as error:
        _scrub(error, session)
        if not session.settings.tracebacks:
            vars(error)["_render_traceback_"] = lines(error)
        raise


def _scrub(error: BaseException, session: Session) -> None:
    if not isinstance(error, StackError):
        return
    error.message = session.keys.scrub(error.message)
    error.hint = session.keys.scrub(error.hint) if error.hint else error.hint
    error.args = (error.message,)
    if error.__cause__ is not None and session.keys.scrub(str(error.__cause__)) != str(error.__cause__):
        error.__cause__ = None
        error.__suppress_context__ = True


def lines(error: BaseException) -> Callable[[], list[str]]:
    """IPython asks an exception for its traceback under this name; ours is the message and the hint."""

    def render() -> list[str]:
        if not isinstance(error, StackError):
            return ["KeyboardInterrupt: stopped by you"]
        out = [f"{type(error).__name__}: {error.message}"]
        return [*out, f"hint: {remedy(error.hint)}"] if error.hint else out

    return render


def _intact(error: StackError, session: Session) -> str | None:
    opened = session.stacks.get(session.current or "")
    if opened is None or (opened.location is not None and isinstance(error, ProviderError)):
        return None  # whether a server elsewhere is up is not known
    return f"The stack {session.current} is still up."
