"""A stack that a cell declared: what answers, what does not and why, and what changed."""

from __future__ import annotations

from llama_magics.render import words
from llama_magics.render.elements import badge, esc, head, mark, next_steps, note, root, section, span, table
from llama_magics.render.providers import health, plain_lines, verdict, with_status
from llama_magics.render.room import Room
from llama_magics.results import Declared

VIEWS = ("declare", "providers")

_SIGNS = {"+": ("+", "ok", "added"), "~": ("~", "warn", "changed"), "-": ("\N{MINUS SIGN}", "bad", "removed")}


def html(declared: Declared, room: Room) -> str:
    """The card; one line when nothing changed and nothing is wrong."""
    if declared.unchanged:
        return root(_unchanged(declared, room), *VIEWS)
    meta = f"up in {words.seconds(declared.seconds)}"
    if declared.location:
        meta = f"at {room.short(declared.location)} · {meta}"
    parts = [
        head("stack", room.short(declared.name), _say(declared, room), meta),
        section("providers", health(declared.providers, room)) if declared.providers else "",
        _models(declared, room),
        _changed(declared, room),
        next_steps(room.some(declared.next_steps)),
    ]
    return root("".join(parts), *VIEWS, card=True)


def _unchanged(declared: Declared, room: Room) -> str:
    bad = with_status(declared.providers, "Error")
    sign = mark("!", "warn", "some providers fail") if bad else mark("✓", "ok", "ready")
    name = f"{span('stack', 'kind')} <strong>{esc(room.short(declared.name))}</strong>"
    return f"{sign} {name} {span(_line(declared, room), 'dim')}"


def _line(declared: Declared, room: Room) -> str:
    default = f" · default {room.short(declared.default)}" if declared.default else ""
    return f"unchanged · {verdict(declared.providers).removesuffix('.')}{default}"


def _say(declared: Declared, room: Room) -> str:
    works = declared.default and declared.answers
    default = f" <strong>{esc(room.short(declared.default or ''))}</strong> answers." if works else ""
    return esc(verdict(declared.providers)) + default


def _models(declared: Declared, room: Room) -> str:
    if not declared.models:
        return ""
    chosen = f" {badge('default', 'dim')}"
    rows = [
        [esc(room.short(alias)) + (chosen if alias == declared.default else ""), esc(room.short(model))]
        for alias, model in room.some(declared.models)
    ]
    cut = f"{len(rows)} of {len(declared.models)} models are shown; `%stack show models` lists all."
    shown = table(["alias", "model"], rows) + note(cut if len(rows) < len(declared.models) else "")
    return section("models", shown)


def _changed(declared: Declared, room: Room) -> str:
    if not declared.changes:
        return ""
    lines = []
    for change in room.some(declared.changes):
        sign, what = _split(change)
        lines.append(f"<li>{mark(*_SIGNS[sign])} <span>{esc(room.short(what))}</span></li>")
    left = len(declared.changes) - len(lines)
    return section("changed", f'<ul class="lsv-diff">{"".join(lines)}</ul>{note(f"and {left} more" if left else "")}')


def _split(change: str) -> tuple[str, str]:
    sign, _, what = change.partition(" ")
    sign = "-" if sign == "\N{MINUS SIGN}" else sign
    return (sign, what) if sign in _SIGNS else ("~", change)


def plain(declared: Declared, room: Room) -> str:
    """The card for a terminal."""
    name = f"stack {room.short(declared.name)}"
    if declared.unchanged:
        return f"{name}: {_line(declared, room)}"
    where = f" at {room.short(declared.location)}" if declared.location else ""
    default = f" {room.short(declared.default)} answers." if declared.default and declared.answers else ""
    lines = [f"{name}{where}: {verdict(declared.providers)}{default}", *plain_lines(declared.providers, room)]
    lines += [f"  {room.short(alias)} = {room.short(model)}" for alias, model in room.some(declared.models)]
    left = len(declared.models) - len(room.some(declared.models))
    lines += [f"  … and {left} more models: %stack show models"] if left else []
    lines += [f"  {room.short(change)}" for change in room.some(declared.changes)]
    left = len(declared.changes) - len(room.some(declared.changes))
    lines += [f"  … and {left} more changes"] if left else []
    lines += [f"  {command}  {does}" for command, does in room.some(declared.next_steps)]
    return "\n".join(lines)
