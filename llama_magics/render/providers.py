"""Lines of providers with their health, for the cards that show them."""

from __future__ import annotations

from collections.abc import Sequence

from llama_magics.render.elements import SEPARATOR, esc, mark, more, note, remedy, span
from llama_magics.render.room import Room
from llama_magics.render.words import and_list, count
from llama_magics.results import ProviderLine

_SIGNS = {"OK": ("✓", "ok", "ready"), "Error": ("✕", "bad", "failing"), "Off": ("○", "dim", "off")}
_AWAY = ("!", "warn", "not available")
_FEW = 4
"""As many lines about what is off or not available stay open; more are folded away."""


def verdict(providers: Sequence[ProviderLine]) -> str:
    """How the providers are, in words: the normal in one clause, the exceptions in the next."""
    if not providers:
        return "No provider is configured."
    ready = len(with_status(providers, "OK"))
    if ready == len(providers):
        return "Its provider is ready." if ready == 1 else f"All {ready} providers are ready."
    wrong = [
        f"{len(some)} {words}"
        for status, words in (("Error", "failing"), ("Off", "off"), ("Unavailable", "not available"))
        if (some := with_status(providers, status))
    ]
    return f"{ready} of {count(len(providers), 'provider')} ready, {and_list(wrong)}."


def with_status(providers: Sequence[ProviderLine], *statuses: str) -> list[ProviderLine]:
    """Those providers that have one of the statuses."""
    return [line for line in providers if line.status in statuses]


def health(providers: Sequence[ProviderLine], room: Room) -> str:
    """All providers, what works and what fails first; much that is only off is folded away."""
    idle = with_status(providers, "Off", "Unavailable")
    if len(idle) <= _FEW:
        return _lines(providers, room)
    active = [line for line in providers if line.status not in ("Off", "Unavailable")]
    return (_lines(active, room) if active else "") + folded(idle, room)


def folded(idle: Sequence[ProviderLine], room: Room) -> str:
    """Providers that are off or not available, behind one line that counts them."""
    off, away = len(with_status(idle, "Off")), len(with_status(idle, "Unavailable"))
    counts = [f"{off} off until set up"] if off else []
    counts += [f"{away} not available"] if away else []
    return more(and_list(counts), _lines(idle, room), "rest")


def signed(line: ProviderLine) -> str:
    """The mark of a provider's health, with its word for screen readers."""
    return mark(*_SIGNS.get(line.status, _AWAY))


def state(line: ProviderLine, room: Room) -> str:
    """What a provider's line says after its name: the message, and the command that mends it."""
    _, _, word = _SIGNS.get(line.status, _AWAY)
    message = room.short(line.message or "")
    if line.status == "OK":
        said = esc(message or word)
    elif line.status == "Error":
        said = span(message or word, "bad")
    else:
        said = esc(f"{word}: {message}" if message else word)
    return said + (f"{SEPARATOR} {remedy(room.short(line.fix))}" if line.fix else "")


def _lines(providers: Sequence[ProviderLine], room: Room) -> str:
    rows, before = [], ""
    for line in room.some(providers):
        api = "" if line.api == before else room.short(line.api)
        before = line.api
        name = f'<span class="lsv-id">{signed(line)} {esc(room.short(line.provider_id))}</span>'
        rows.append(f"<li>{span(api, 'api')} {name} <span>{state(line, room)}</span></li>")
    cut = f"{len(rows)} of {len(providers)} providers are shown; `%stack show providers` lists all."
    return f'<ul class="lsv-prov">{"".join(rows)}</ul>{note(cut if len(rows) < len(providers) else "")}'


def plain_lines(providers: Sequence[ProviderLine], room: Room) -> list[str]:
    """One line a provider, for a terminal."""
    some = room.some(providers)
    wide = max((len(room.short(line.api)) for line in some), default=0)
    out = []
    for line in some:
        sign, _, word = _SIGNS.get(line.status, _AWAY)
        said = room.short(line.message or word)
        said = said if line.status in ("OK", "Error") or not line.message else f"{word}: {said}"
        fix = f"  →  {room.short(line.fix)}" if line.fix else ""
        out.append(f"  {sign} {room.short(line.api):{wide}}  {room.short(line.provider_id)}  {said}{fix}")
    if len(some) < len(providers):
        out.append(f"  … {len(some)} of {len(providers)} providers are shown; %stack show providers lists all.")
    return out
