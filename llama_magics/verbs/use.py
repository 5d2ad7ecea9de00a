"""`use`: an open stack, a distribution, a run file, or a server at a URL becomes the current stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llama_magics import health, source
from llama_magics.opened import Opened
from llama_magics.results import Declared, Listing, Shown
from llama_magics.session import Session
from llama_magics.verbs.declare import declared, up
from stack_core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from llama_magics.cell import Cell


def run(cell: Cell) -> Shown:
    """Use what the word names; without one say what there is."""
    words = cell.words()
    return use(cell.session, words[0] if words else None, cell.line.options.get("out"))


def use(session: Session, name: str | Path | None = None, out: str | None = None) -> Shown:
    """Make a stack the current one.

    Raises:
        ConfigError: no such stack, distribution or file, or it cannot be opened.
        ProviderUnavailable: no server answers at the URL.
    """
    if name is None:
        return choices(session)
    code = source.call("use", str(name), out=out)
    if isinstance(name, str) and name.startswith(("http://", "https://")):
        return _card(session, code, session.connect(name))
    if isinstance(name, str) and name in session.stacks:
        card = _card(session, code, session.stacks[name])
        session.switch(name)
        return card
    path = session.folder / Path(name).expanduser()
    for file in (path, path / "run.yaml", path / "config.yaml"):
        if file.is_file():
            return up(session, file, code, str(name))
    known = list(dict.fromkeys([*session.stacks, *_distributions()]))
    if path.is_dir() and str(name) not in known:
        raise ConfigError(f"the folder {name} has no run.yaml", "name the run file, or a distribution")
    if str(name) not in known:
        close = nearest(str(name), known)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(known)}"
        raise ConfigError(f"{str(name)!r} is no open stack, distribution, file or URL", hint)
    return up(session, str(name), code)


def choices(session: Session) -> Listing:
    """What can be used: open stacks and distributions."""
    rows = [[name, "open", one.location or "in this kernel"] for name, one in session.stacks.items()]
    rows += [[name, "distribution", ""] for name in _distributions() if name not in session.stacks]
    say = f"The current stack is {session.current}." if session.current else "No stack is open."
    return Listing(
        "stacks", ["name", "what", "where"], rows, say, [("%stack use starter", "opens one")], source.call("use")
    )


def _card(session: Session, code: str, opened: Opened) -> Declared:
    return declared(session, opened, health.provider_lines(session, opened), [], code)


def _distributions() -> list[str]:
    from stack_core import distributions

    return list(distributions.names())
