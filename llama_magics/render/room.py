"""How much of a long result one output may hold: an output stays under 100 kB, and what was cut is said in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

MAX_BYTES = 100_000
"""The most one output may weigh: the UTF-8 JSON text of its whole MIME bundle."""

T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """Limits of one attempt: characters of a long text, rows of a table or list, characters of a short text."""

    text: int
    rows: int
    cell: int

    @property
    def is_last(self) -> bool:
        """Whether no smaller limits follow."""
        return self.rows <= 3

    def cut(self, text: str) -> str:
        """The beginning of a long text that fits."""
        return text if len(text) <= self.text else text[: self.text]

    def short(self, text: str) -> str:
        """A name, message or cell; one that is too long ends in an ellipsis and its full length."""
        if len(text) <= self.cell:
            return text
        return f"{text[: self.cell]}… ({len(text):,} characters)"

    def some(self, items: Sequence[T]) -> Sequence[T]:
        """The first items that fit."""
        return items[: self.rows]


def rooms() -> Iterator[Room]:
    """Ever smaller limits; the last is so small that every view of it fits."""
    text, rows, cell = 20_000, 400, 2_000
    while True:
        room = Room(text, rows, cell)
        yield room
        if room.is_last:
            return
        text, rows, cell = max(100, text * 2 // 3), max(3, rows * 2 // 3), max(60, cell * 2 // 3)


def cut_note(room: Room, text: str, owner: str | None, field: str = "text") -> str:
    """The sentence under a text that was cut, in Markdown; empty when all of it is shown."""
    if len(text) <= room.text:
        return ""
    return f"Cut here: {room.text:,} of {len(text):,} characters are shown; {whereabouts(owner, field)}."


def rows_note(room: Room, total: int, owner: str | None, field: str, noun: str = "rows") -> str:
    """The sentence under a table or list that was cut; empty when all of it is shown."""
    if total <= room.rows:
        return ""
    return f"Cut here: {room.rows:,} of {total:,} {noun} are shown; {whereabouts(owner, field)}."


def whereabouts(owner: str | None, field: str) -> str:
    """Where the rest of a cut text is: `x.text` when the cell bound it to `x`."""
    return (
        f"the rest is in `{owner}.{field}`"
        if owner
        else f"the rest is in `.{field}` of the result (`-o x` keeps it as `x`)"
    )
