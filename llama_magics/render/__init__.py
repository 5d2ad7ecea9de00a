"""Result object → one MIME bundle: plain text, HTML, Markdown where a host may prefer it, and data for the extension.

    bundle → outgoing (clean, scrub) → a room (limits) → the view of the kind → scrub again

A view is a module with `html(result, room)` and `plain(result, room)`, and `markdown` where the result is a text.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from llama_magics.render import (
    answer,
    code,
    comparison,
    declared,
    error,
    help,
    listing,
    report,
    status,
    value,
    vendor,
)
from llama_magics.render.outgoing import Scrub, outgoing, scrubbed
from llama_magics.render.room import MAX_BYTES, Room, cut_note, rooms
from llama_magics.results import Shown


class View(Protocol):
    """What a view's module offers."""

    def html(self, result: Any, room: Room, /) -> str:
        """The result as self-contained HTML."""

    def plain(self, result: Any, room: Room, /) -> str:
        """The result as text that reads alone."""


class TextView(View, Protocol):
    """A view of a text, which has a Markdown form as well."""

    def markdown(self, result: Any, room: Room, /) -> str:
        """The result as Markdown."""


TEXTS: dict[str, TextView] = {"answer": answer, "comparison": comparison, "code": code, "help": help}
VIEWS: dict[str, View] = {
    **TEXTS,
    "declared": declared,
    "error": error,
    "listing": listing,
    "report": report,
    "status": status,
    "value": value,
}


def _as_it_is(text: str) -> str:
    return text


scrub: Scrub = _as_it_is
"""Takes known secrets out of every string that leaves; the session sets it to one that knows the keys."""


def bundle(result: Shown) -> dict[str, Any]:
    """The MIME bundle of a result: at most `MAX_BYTES` in all, with what is cut said in words."""
    leaving = outgoing(result, scrub)
    for room in rooms():
        data = vendor.data(leaving, room)
        if room.is_last or weight(data) <= MAX_BYTES // 2:  # weighing the data is cheap, drawing it is not
            shown = _forms(leaving, room, data)
            if weight(shown) <= MAX_BYTES:
                return shown
    shown[vendor.mime(result)] = {"cut": [{"path": "", "of": weight(data)}]}  # deep data: the other forms are bounded
    return shown


def plain(result: Shown) -> str:
    """The result as text, as a terminal shows it."""
    leaving = outgoing(result, scrub)
    return scrub(VIEWS[result.kind].plain(leaving, next(rooms())))


def bounded(text: str, bound: str | None, field: str) -> str:
    """A bare text that leaves alone: clean, without secrets, and cut where it is too long for an output."""
    leaving: str = outgoing(text, scrub)
    if weight({"text/plain": leaving}) <= MAX_BYTES:
        return leaving
    room = next(rooms())
    return f"{room.cut(leaving)}\n{cut_note(room, leaving, bound, field)}"


def weight(shown: dict[str, Any]) -> int:
    """Bytes of a bundle in a saved notebook."""
    return len(json.dumps(shown, ensure_ascii=False).encode())


def _forms(result: Shown, room: Room, data: dict[str, Any]) -> dict[str, Any]:
    view = VIEWS[result.kind]
    shown: dict[str, Any] = {
        "text/plain": view.plain(result, room),
        "text/html": view.html(result, room),
        vendor.mime(result): data,
    }
    if result.kind in TEXTS:
        shown["text/markdown"] = TEXTS[result.kind].markdown(result, room)
    checked: dict[str, Any] = scrubbed(shown, scrub)
    return checked
