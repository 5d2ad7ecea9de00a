"""BERT's uncased WordPiece (Devlin et al. 2018, as published with the model).

Equal to the `tokenizers` package on every code point that Unicode 8.0 knew; that package's tables are of that age, so
text in scripts that came later may be split otherwise. Our own, because the package brings seven distributions.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

MOST_TOKENS = 256
LONGEST_WORD = 100
PAD, UNKNOWN, CLS, SEP, MASK = 0, 100, 101, 102, 103
SPECIAL = {"[PAD]": PAD, "[UNK]": UNKNOWN, "[CLS]": CLS, "[SEP]": SEP, "[MASK]": MASK}
_SPECIAL = re.compile(r"(\[(?:PAD|UNK|CLS|SEP|MASK)\])")
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Text → token ids, with [CLS] before and [SEP] behind, cut to `MOST_TOKENS`.

    Args:
        vocabulary: a file with one token a line, its id the line's number.
    """

    def __init__(self, vocabulary: Path) -> None:
        lines = vocabulary.read_text("utf-8").split("\n")
        self._ids = {token.rstrip("\r"): number for number, token in enumerate(lines) if token}
        self._pieces = lru_cache(maxsize=50_000)(self._split_word)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self._ids)

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ids = [CLS]
        for part in _SPECIAL.split(text):
            if part in SPECIAL:
                ids.append(SPECIAL[part])
            else:
                for word in _words(part):
                    ids += self._pieces(word)
                    if len(ids) >= MOST_TOKENS:
                        break
        return [*ids[: MOST_TOKENS - 1], SEP]

    def _split_word(self, word: str) -> tuple[int, ...]:
        """The longest known pieces from the left; unknown as a whole where one piece is."""
        if len(word) > LONGEST_WORD:
            return (UNKNOWN,)
        pieces: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = self._ids.get(("##" if start else "") + word[start:end])
                if piece is not None:
                    break
            else:
                return (UNKNOWN,)
            pieces.append(piece)
            start = end
        return tuple(pieces)


def _words(text: str) -> list[str]:
    """Words and single punctuation marks, in lower case and without accents."""
    if not text.isascii():
        text = unicodedata.normalize("NFD", "".join(map(_cleaned, text)))
    return "".join(map(_spaced, text)).split()


@lru_cache(maxsize=8192)
def _cleaned(char: str) -> str:
    """A character before its accents are taken apart: controls go, ideographs stand alone."""
    if char == "\ufffd":
        return ""
    if any(first <= ord(char) <= last for first, last in _IDEOGRAPHS):
        return f" {char} "
    return char


@lru_cache(maxsize=8192)
def _spaced(char: str) -> str:
    """A character after that: accents go, punctuation stands alone, case is lowered."""
    if char in "\t\n\r":
        return " "
    kind = unicodedata.category(char)
    if kind in ("Cc", "Cf", "Co", "Cs", "Mn"):
        return ""
    if kind[0] == "Z" or char.isspace():
        return " "
    if kind[0] == "P" or (char.isascii() and not char.isalnum()):
        return f" {char} "
    return char.lower()
