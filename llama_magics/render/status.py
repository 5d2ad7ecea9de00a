"""The card of `%stack`: what is open, what it has done, what to do next."""

from __future__ import annotations

from collections.abc import Iterable

from llama_magics.render import words
from llama_magics.render.elements import SEPARATOR, badge, esc, head, next_steps, note, root, section, span
from llama_magics.render.providers import folded, plain_lines, signed, state, verdict, with_status
from llama_magics.render.room import Room
from llama_magics.results import Status
from stack_core.version import __version__

_UNDECLARED = "No stack is declared, so the bundled"
_NO_KEY = f"answers: no key, no network, {words.TUTORIAL}."


def html(status: Status, room: Room) -> str:
    """Figures, providers, chats and next steps; before any stack only what answers and what to do."""
    name = room.short(status.stack) if status.stack else "none yet"
    parts = [
        head("stack", name, _say(status), f"llama_magics {__version__}"),
        _figures(status, room) if status.stack or status.calls else "",
        section("providers", _providers(status, room)) if status.providers else "",
        _defined(status, room),
        next_steps(room.some(status.next_steps)),
    ]
    return root("".join(parts), "status", "providers", card=True)


def _say(status: Status) -> str:
    if status.tutorial and not status.stack:
        return f"{_UNDECLARED} {badge('tutorial model', 'info')} {_NO_KEY}"
    tutorial = f" {badge('tutorial model', 'info')} {esc(words.TUTORIAL)}." if status.tutorial else ""
    return esc(verdict(status.providers) if status.stack else "No stack is declared.") + tutorial


def _figures(status: Status, room: Room) -> str:
    usage = status.usage
    figures = [
        ("calls", f"{status.calls:,}", ""),
        ("tokens", _rounded(usage.input_tokens + usage.output_tokens), _in_out(status)),
        ("spent", words.money(status.cost) if status.cost is not None else "unknown", _priced(status)),
    ]
    if status.default:
        figures.append(("default model", room.short(status.default), words.count(status.models, "model")))
    return f'<div class="lsv-figs">{"".join(_figure(*figure) for figure in figures)}</div>'


def _figure(label: str, value: str, under: str) -> str:
    size = "lsv-fig lsv-long" if len(value) > 12 else "lsv-fig"
    below = f"{SEPARATOR}{span(under, 'dim', 'small')}" if under else ""
    return f'<div>{span(label, "dim", "small")} <span class="{size}">{esc(value)}</span>{below}</div>'


def _rounded(number: int) -> str:
    return f"{number / 1000:,.0f} k" if number >= 10_000 else f"{number:,}"


def _in_out(status: Status) -> str:
    usage = status.usage
    return f"{_rounded(usage.input_tokens)} in, {_rounded(usage.output_tokens)} out"


def _priced(status: Status) -> str:
    return "" if status.cost is not None else "no price is known"


def _providers(status: Status, room: Room) -> str:
    """Healthy ones on one line, failing ones each with its remedy, the rest folded."""
    ready, failing = with_status(status.providers, "OK"), with_status(status.providers, "Error")
    line = "".join(
        f'<span class="lsv-nw">{signed(p)} {esc(room.short(p.provider_id))} </span>' for p in room.some(ready)
    )
    left = len(ready) - len(room.some(ready))
    faults = "".join(
        f"<li>{signed(p)} <strong>{esc(room.short(p.provider_id))}</strong> {state(p, room)}</li>"
        for p in room.some(failing)
    )
    idle = with_status(status.providers, "Off", "Unavailable")
    return (
        (f'<div class="lsv-line">{line}</div>' if line else "")
        + note(f"and {left} more: `%stack show providers`" if left else "")
        + (f'<ul class="lsv-faults">{faults}</ul>' if faults else "")
        + (folded(idle, room) if idle else "")
    )


def _defined(status: Status, room: Room) -> str:
    if not status.chats:
        return ""
    return section("chats", span(_names(status.chats, room), "small"))


def _names(names: list[str], room: Room) -> str:
    shown = ", ".join(room.short(name) for name in room.some(names))
    left = len(names) - len(room.some(names))
    return f"{shown} and {left} more" if left else shown


def plain(status: Status, room: Room) -> str:
    """The card for a terminal."""
    return "\n".join(_plain_lines(status, room))


def _plain_lines(status: Status, room: Room) -> Iterable[str]:
    if status.stack:
        yield f"stack {room.short(status.stack)}: {verdict(status.providers)}"
    elif status.tutorial:
        yield f"{_UNDECLARED} tutorial model {_NO_KEY}"
    else:
        yield "No stack is declared."
    if status.stack or status.calls:
        spent = f" · {words.money(status.cost)}" if status.cost is not None else ""
        yield f"  {words.count(status.calls, 'call')} · {words.tokens(status.usage)}{spent}"
    if status.default:
        yield f"  default model {room.short(status.default)}, {words.count(status.models, 'model')} in all"
    yield from plain_lines(status.providers, room)
    if status.chats:
        yield f"  chats: {_names(status.chats, room)}"
    yield from (f"  {command}  {does}" for command, does in room.some(status.next_steps))
