"""Server-sent events, read from a body cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence


class EventParser:
    """Server-sent events from pieces of a body, cut anywhere. `feed` gives the (name, data) pairs that became whole.

    Follows the WHATWG text: LF, CRLF and CR end lines, comment lines are skipped, `data` lines of one event are joined
    by a line feed, one space after the colon is dropped. Events without data are skipped.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._started = False

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The events that `piece` completes."""
        text = self._rest + piece if self._rest else piece
        if not self._started:
            if len(text) < 3 and b"\xef\xbb\xbf".startswith(text):
                self._rest = text
                return []
            text, self._started = text.removeprefix(b"\xef\xbb\xbf"), True
        if b"\r" in text:
            held = text.endswith(b"\r")  # its line feed may be still to come
            text = text[: -1 if held else None].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = False
        whole, found, rest = text.rpartition(b"\n")
        self._rest = rest + b"\r" if held else rest
        return self._lines(whole.split(b"\n")) if found else []

    def finish(self) -> list[tuple[str, bytes]]:
        """The event that the end of the body completes; services leave out the last blank line."""
        rest, self._rest = self._rest.removesuffix(b"\r"), b""
        return self._lines([rest, b""])

    def _lines(self, lines: Sequence[bytes]) -> list[tuple[str, bytes]]:
        events: list[tuple[str, bytes]] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif not line:
                if data:
                    events.append(
                        (self._name.decode("utf-8", "replace"), data[0] if len(data) == 1 else b"\n".join(data))
                    )
                    data.clear()
                self._name = b""
            elif line.startswith(b"event:"):
                self._name = line[6:].removeprefix(b" ")
            elif line == b"data":
                data.append(b"")
        return events
