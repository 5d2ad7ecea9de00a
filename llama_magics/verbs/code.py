"""`code`: the Python that does what a cell did, printed or put into a new cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_magics.render.words import count
from llama_magics.results import Code
from llama_magics.session import Session
from llama_magics.source import IMPORT
from stack_core.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from llama_magics.cell import Cell


_MOST = 12
"""Cells that an error names."""


def run(cell: Cell) -> Code:
    """Print the twin of the last cell, of cell `n`, or of the n-th last as `-n`."""
    words = cell.words()
    shown = code(cell.session, words[0] if words else "-1")
    if cell.line.options.get("insert"):
        cell.shell.set_next_input(shown.source)
    return shown


def code(session: Session, which: str | int = "-1") -> Code:
    """The twin of a cell, by its number, or counted from the last one backwards.

    Raises:
        InvalidRequest: not a number.
        NotFound: that cell has no `%stack`.
    """
    text = str(which)
    if not text.removeprefix("-").isdigit() or text.removeprefix("-").strip("0") == "":
        raise InvalidRequest(f"{text!r} is not a cell", "%stack code, %stack code 3, or %stack code -2")
    number = int(text)
    cells = sorted(session.twins)
    if number < 0:
        if -number > len(cells):
            have = f"{count(len(cells), 'cell')} of this session {'has' if len(cells) == 1 else 'have'} a %stack"
            hint = "%stack code -1 is the last one" if cells else "run one first"
            raise InvalidRequest(f"%stack code {text}: {have}", hint)
        number = cells[number]
    if number not in session.twins:
        raise NotFound("cell with a %stack", str(number), map(str, cells), _numbers(cells))
    return Code("\n".join([IMPORT, "", *session.twins[number]]))


def _numbers(cells: list[int]) -> str:
    """The last cells that have one."""
    return f"cells: {'…, ' if len(cells) > _MOST else ''}{', '.join(map(str, cells[-_MOST:]))}"
