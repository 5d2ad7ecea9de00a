"""A text that grows, cut into overlapping windows, so that a guard can look at it before it is shown.

A guard sees a window as a whole; found clean, only its beginning is let go, and what is held back begins the next
window. Whatever a guard recognises in at most `overlap + 1` characters lies whole inside a window before its first
character is let go. Where the windows are depends on the text alone, not on the pieces that it came in.
"""

from __future__ import annotations

from typing import NamedTuple

from stack_core.errors import InvalidRequest


class Window(NamedTuple):
    """`text` is to be checked; found clean, `release` may be shown. All releases, joined, are the whole text."""

    text: str
    release: str


class Windows:
    """Cuts what it is fed.

    Args:
        step: characters that each window lets go.
        overlap: characters that are held back behind them, and that are seen again before them.

    Raises:
        InvalidRequest: `step` is below 1 or `overlap` below 0.
    """

    def __init__(self, step: int = 200, overlap: int = 100) -> None:
        if step < 1 or overlap < 0:
            raise InvalidRequest(
                f"windows of {step} characters cannot overlap by {overlap}", "step is at least 1 and overlap at least 0"
            )
        self._step, self._overlap = step, overlap
        self._before = ""
        self._held = ""

    def feed(self, piece: str) -> list[Window]:
        """The windows that are full with this piece, oldest first; often none."""
        self._held += piece
        found, place, full = [], 0, self._step + self._overlap
        while len(self._held) - place >= full:
            found.append(self._window(place, place + full, place + self._step))
            place += self._step
        self._held = self._held[place:]
        return found

    def finish(self) -> list[Window]:
        """The last window, with everything that is still held back; none where nothing is."""
        if not self._held:
            return []
        last = self._window(0, len(self._held), len(self._held))
        self._held = ""
        return [last]

    def _window(self, start: int, end: int, released: int) -> Window:
        """What is checked begins with the end of what was let go before: a guard sees where a word began."""
        window = Window(self._before + self._held[start:end], self._held[start:released])
        tail = self._before + window.release
        self._before = tail[len(tail) - min(self._overlap, len(tail)) :]
        return window
