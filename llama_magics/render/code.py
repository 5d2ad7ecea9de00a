"""Python that does what a cell did."""

from __future__ import annotations

from llama_magics.render.elements import box, note, root
from llama_magics.render.room import Room, cut_note
from llama_magics.results import Code


def html(code: Code, room: Room) -> str:
    """The source, to copy."""
    return root(box(room.cut(code.source), "Python", tall=True) + note(cut_note(room, code.source, None)), "list")


def plain(code: Code, room: Room) -> str:
    """The source as it is."""
    cut = cut_note(room, code.source, None)
    return room.cut(code.source) + (f"\n# {cut}" if cut else "")


def markdown(code: Code, room: Room) -> str:
    """The source in a fence longer than any in it."""
    fence = "```"
    while fence in code.source:
        fence += "`"
    return f"{fence}python\n{plain(code, room)}\n{fence}"
