"""Citations in what the model writes: markers such as `<|file-id|>`, taken out of the text and told beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stack_core.apis._parts import FileCitation

_MARKER = re.compile(r"[ \t]*<\|([\w.:-]{1,200})\|>")
_PERHAPS = re.compile(r"[ \t]*(<(\|([\w.:-]{1,200}\|?)?)?)?\Z")
"""The end of a text that may be the beginning of a marker."""


class Citing:
    """Reads one text piece by piece.

    Args:
        files: id → name of the files that may be cited; grows while the text is made. A marker of any other id is text.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._held = ""
        self._length = 0

    def add(self, piece: str) -> Iterator[str | FileCitation]:
        """What is sure now: text without markers, and citations at their place in it."""
        if not self._files and not self._held:
            self._length += len(piece)
            yield piece
            return
        text = self._held + piece
        start = 0
        for found in _MARKER.finditer(text):
            if found[1] in self._files:
                yield from self._said(text[start : found.start()])
                yield FileCitation(file_id=found[1], filename=self._files[found[1]], index=self._length)
                start = found.end()
        rest = text[start:]
        open_end = _PERHAPS.search(rest)
        cut = open_end.start() if open_end is not None else len(rest)
        self._held = rest[cut:]
        yield from self._said(rest[:cut])

    def end(self) -> Iterator[str]:
        """What was held back and is no marker."""
        held, self._held = self._held, ""
        yield from self._said(held)

    def _said(self, text: str) -> Iterator[str]:
        if text:
            self._length += len(text)
            yield text
