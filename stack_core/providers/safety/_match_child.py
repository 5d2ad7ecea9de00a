"""Matches one regular expression after another, in a process of its own that may be ended at any time: Python's engine
may take longer than anybody lives for a short text.

Frames of eight bytes length and marshalled data come in and go out: (pattern, flags, texts, most) → a list of spans for
each text. Imports nothing of ours: it is run as a file.
"""

from __future__ import annotations

import marshal
import re
import sys


def main() -> None:
    """Serve until the pipe is closed."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(8)) == 8:
        pattern, flags, texts, most = marshal.loads(source.read(int.from_bytes(head, "big")))
        compiled = re.compile(pattern, flags)
        found = marshal.dumps([spans(compiled, text, most) for text in texts])
        sink.write(len(found).to_bytes(8, "big") + found)
        sink.flush()


def spans(compiled: re.Pattern[str], text: str, most: int) -> list[tuple[int, int]]:
    """At most so many places that are not empty."""
    found: list[tuple[int, int]] = []
    for match in compiled.finditer(text):
        if match.end() > match.start():
            found.append(match.span())
        if len(found) >= most:
            break
    return found


if __name__ == "__main__":
    main()
