"""A typed error: type, cause, place, remedy and what is still intact."""

from __future__ import annotations

from llama_magics.render.elements import fault, root
from llama_magics.render.room import Room
from llama_magics.results import ErrorNote


def html(error: ErrorNote, room: Room) -> str:
    """The error, with its remedy as a command to copy."""
    return root(fault(_fitted(error, room)), "error")


def plain(error: ErrorNote, room: Room) -> str:
    """The error for a terminal: the message first, then place, remedy and what is intact."""
    error = _fitted(error, room)
    lines = [f"{error.type}: {error.message}"]
    if error.where:
        lines += [f"    {line}" for line in error.where.split("\n")]
    if error.hint:
        lines.append(f"Fix: {error.hint}")
    if error.intact:
        lines.append(error.intact)
    return "\n".join(lines)


def _fitted(error: ErrorNote, room: Room) -> ErrorNote:
    def short(text: str | None) -> str | None:
        return None if text is None else room.short(text)

    return ErrorNote(
        type=room.short(error.type),
        message=room.short(error.message),
        hint=short(error.hint),
        where=short(error.where),
        intact=short(error.intact),
    )
