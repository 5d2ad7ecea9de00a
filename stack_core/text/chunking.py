"""Long text cut into overlapping pieces, as OpenAI's vector stores cut theirs: a most of tokens each, so many of them
said again at the beginning of the next.

Tokens are counted without a tokenizer: each six letters of a word, each sign and each Chinese, Japanese or Korean
character are one. On English prose this comes within about a tenth of what the models' tokenizers count, and it is the
same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stack_core.errors import InvalidRequest

_EASTERN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(f"[{_EASTERN}]|[^\\W{_EASTERN}]{{1,6}}|[^\\w\\s]")
_SENTENCE_ENDS = frozenset(".!?…。！？")  # noqa: RUF001  # the full-width signs are meant
PARAGRAPH, SENTENCE, WORD, INSIDE = 3, 2, 1, 0


class Piece(NamedTuple):
    """A part of a text: `text == whole[start:end]`, both offsets in characters."""

    text: str
    start: int
    end: int


def tokens(text: str) -> int:
    """How many tokens a text is, as `chunk` counts them."""
    return sum(1 for _ in _TOKEN.finditer(text))


def chunk(text: str, max_tokens: int = 800, overlap: int = 400) -> list[Piece]:
    """A text in pieces of at most `max_tokens`, each but the first beginning with at most `overlap` tokens of the one
    before. A piece ends at a paragraph, else a sentence, else a word, as long as that shortens it by a quarter at most.
    Every character that is not white space is in a piece; a text of white space has none. Takes linear time.

    Raises:
        InvalidRequest: `max_tokens` is below 1, or `overlap` is below 0 or above half of it.
    """
    if max_tokens < 1 or not 0 <= overlap <= max_tokens // 2:
        raise InvalidRequest(
            f"chunks of {max_tokens} tokens cannot overlap by {overlap}",
            hint="max_chunk_size_tokens must be positive and chunk_overlap_tokens at most half of it",
        )
    places = _Places(text)
    pieces: list[Piece] = []
    first = 0
    while first < len(places):
        last = first + max_tokens
        if last >= len(places):
            last = len(places)
        else:
            last = places.best(range(last, first + max(1, max_tokens - max_tokens // 4) - 1, -1))
        pieces.append(places.piece(first, last))
        if last == len(places):
            break
        again = last - overlap
        first = max(first + 1, places.best(range(again, again + overlap // 4 + 1)))
    return pieces


class _Places:
    """Where the tokens of a text lie. Boundary k is before token k."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: Sequence[int] = [found.start() for found in _TOKEN.finditer(text)]

    def __len__(self) -> int:
        return len(self.starts)

    def best(self, boundaries: range) -> int:
        """The first of the boundaries that cuts best."""
        return max(boundaries, key=self._rank)

    def piece(self, first: int, last: int) -> Piece:
        """Tokens `first` to before `last`, without the white space after them."""
        start = self.starts[first]
        end = self.starts[last] if last < len(self.starts) else len(self.text)
        inside = self.text[start:end].rstrip()
        return Piece(inside, start, start + len(inside))

    def _rank(self, boundary: int) -> int:
        start = self.starts[boundary]
        gap = self._gap(boundary)
        if gap.count("\n") > 1:
            return PARAGRAPH
        before = self.text[start - len(gap) - 1] if start > len(gap) else ""
        if "\n" in gap or (before in _SENTENCE_ENDS and (gap or before > "\u2fff")):
            return SENTENCE
        return WORD if gap else INSIDE

    def _gap(self, boundary: int) -> str:
        """The white space before a boundary."""
        before = self.text[self.starts[boundary - 1] if boundary else 0 : self.starts[boundary]]
        return before[len(before.rstrip()) :]
