"""What a call gave: any object, as JSON in a box that scrolls."""

from __future__ import annotations

import json

from llama_magics.render import words
from llama_magics.render.elements import box, command, foot, head, note, root, span
from llama_magics.render.room import Room, cut_note
from llama_magics.results import Value


def html(value: Value, room: Room) -> str:
    """The kind of the value in words, its JSON, the call's duration and trace."""
    text = _text(value)
    trace = f"<span>trace {command(f'%stack trace {value.trace}')}</span>" if value.trace else ""
    took = span(words.seconds(value.seconds), "nw") if value.seconds else ""
    shown = box(room.cut(text), "value", tall=True) + note(cut_note(room, text, value.bound, "value"))
    line = foot([took, trace]) if took or trace else ""
    title = head("call", room.short(value.title), _say(value))
    return root(f'{title}<div class="lsv-body">{shown}{line}</div>', "list", card=True)


def _text(value: Value) -> str:
    return value.value if isinstance(value.value, str) else json.dumps(value.value, ensure_ascii=False, indent=2)


def _say(value: Value) -> str:
    data = value.value
    if data is None:
        return "It gave nothing back."
    if isinstance(data, dict):
        return f"An object with {words.count(len(data), 'field')}."
    if isinstance(data, list):
        return f"A list of {words.count(len(data), 'item')}."
    return "A text." if isinstance(data, str) else "One value."


def plain(value: Value, room: Room) -> str:
    """The JSON under its title."""
    text = _text(value)
    parts = [room.short(value.title), room.cut(text), cut_note(room, text, value.bound, "value")]
    return "\n".join(part for part in parts if part)
