"""`key`: store a key without showing it, in the system's keyring where there is one, else for this session."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from llama_magics import source
from llama_magics.keys import variable
from llama_magics.render.words import count
from llama_magics.results import Check, Listing, Report, Shown
from llama_magics.session import Session
from stack_core.errors import InvalidRequest

if TYPE_CHECKING:
    from llama_magics.cell import Cell


_SAY = "No value is shown."


def run(cell: Cell) -> Shown:
    """Ask for the key that the word names, or forget it; without a word list the names that are set."""
    if len(cell.line.words) > 1:
        raise InvalidRequest(
            "a key does not belong in a cell: it would be saved with the notebook",
            "%stack key NAME asks for it, hidden",
        )
    words = cell.words()
    shown = key(cell.session, words[0] if words else None, reset=bool(cell.line.options.get("reset")))
    vars(shown)["code"] = source.call("key", *words, reset=bool(cell.line.options.get("reset")))
    return shown


def key(session: Session, name: str | None = None, *, reset: bool = False) -> Shown:
    """Store, forget or list keys. What is shown has names and places, never a value.

    Raises:
        InvalidRequest: no such provider, nothing was typed, or this front end cannot ask.
    """
    if name is None:
        return _listing(session)
    wanted = variable(name)
    if reset:
        done = session.keys.forget(wanted)
        return _said(wanted, "forgotten" if done else "was not stored", None)
    value = _typed(wanted)
    where = session.keys.keep(wanted, value)
    first = session.keys.where(wanted)
    if first not in (where, "session"):
        return _said(wanted, f"stored, but the {first} has another and wins", "restart the kernel without it", "warn")
    if where == "session":
        return _said(wanted, "kept for this session only: no keyring is at hand", "pip install 'llama-magics[keyring]'")
    return _said(wanted, "stored in the system's keyring", None)


def _typed(wanted: str) -> str:
    try:
        typed = getpass.getpass(f"{wanted}: ").strip()
    except (EOFError, NotImplementedError, RuntimeError) as error:
        # ipykernel's StdinNotImplementedError is a RuntimeError and a NotImplementedError
        raise InvalidRequest(
            "this front end cannot ask for a key", f"set {wanted} in the environment or in a .env file"
        ) from error
    if not typed:
        raise InvalidRequest("nothing was typed, nothing was stored", f"%stack key {wanted} asks again")
    return typed


def _said(name: str, message: str, fix: str | None, status: str = "ok") -> Report:
    return Report([Check(name, status, message, fix)], title="key", say=_SAY)


def _listing(session: Session) -> Listing:
    known = session.keys.known()
    rows = [[name, where] for name, where in known.items()]
    say = f"{count(len(rows), 'key')} {'is' if len(rows) == 1 else 'are'} set." if rows else "No key is set."
    return Listing("keys", ["name", "where"], rows, say, [("%stack key openai", "stores one, hidden")])
