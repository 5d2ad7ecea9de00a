"""A table: of models, providers, APIs, chats, or what a call gave as a list."""

from __future__ import annotations

import json
from typing import Any

from llama_magics.render.elements import esc, head, next_steps, note, root, table
from llama_magics.render.room import Room, rows_note
from llama_magics.render.words import count
from llama_magics.results import Listing

_COLUMNS = 40


def html(listing: Listing, room: Room) -> str:
    """What the table shows in words, the table in a box that scrolls, next steps."""
    say = listing.say or f"{count(len(listing.rows), 'row')}."
    parts = [head("show", room.short(listing.title), esc(room.short(say)))]
    if listing.rows:
        rows = [[esc(room.short(_cell(value))) for value in row[:_COLUMNS]] for row in room.some(listing.rows)]
        shown = table([room.short(name) for name in listing.columns[:_COLUMNS]], rows, _numeric(listing))
        label = esc(room.short(listing.title))
        wide = f'<div class="lsv-wide" tabindex="0" role="group" aria-label="{label}">{shown}</div>'
        parts.append(f'<div class="lsv-body">{wide}{note(_rest(listing, room))}</div>')
    parts.append(next_steps(room.some(listing.next_steps)))
    return root("".join(parts), "list", card=True)


def _rest(listing: Listing, room: Room) -> str:
    hidden = len(listing.columns) - _COLUMNS
    columns = f"{hidden} more columns are in `.df`." if hidden > 0 else ""
    return " ".join(words for words in (rows_note(room, len(listing.rows), listing.bound, "rows"), columns) if words)


def _numeric(listing: Listing) -> list[int]:
    """Columns that hold nothing but numbers."""
    return [
        i
        for i in range(min(len(listing.columns), _COLUMNS))
        if i and _all_numbers([row[i] for row in listing.rows if i < len(row) and row[i] is not None])
    ]


def _all_numbers(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def plain(listing: Listing, room: Room) -> str:
    """Aligned columns for a terminal; long cells are cut with their length said."""
    narrow = Room(room.text, room.rows, min(room.cell, 60))
    lines = [listing.title + (f": {listing.say}" if listing.say else "")]
    if listing.rows:
        columns = [narrow.short(name) for name in listing.columns[:_COLUMNS]]
        rows = [[_one_line(narrow, value) for value in row[:_COLUMNS]] for row in room.some(listing.rows)]
        wide = [max(len(cells[i]) for cells in [columns, *rows] if i < len(cells)) for i in range(len(columns))]
        for cells in (columns, ["-" * width for width in wide], *rows):
            lines.append("  ".join(f"{cell:{width}}" for cell, width in zip(cells, wide, strict=False)).rstrip())
    if rest := _rest(listing, room):
        lines.append(rest)
    lines += [f"{command}  {does}" for command, does in room.some(listing.next_steps)]
    return "\n".join(lines)


def _one_line(room: Room, value: Any) -> str:
    return room.short(" ".join(_cell(value).split()))
