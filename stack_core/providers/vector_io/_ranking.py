"""Words of a text, and BM25 over texts that a database found by their words but did not rank."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

MOST_WORDS, LONGEST_WORD = 500, 60
"""Different words of a query that are looked for; longer words are left out of texts and queries alike."""
K1, B = 1.2, 0.75
"""As SQLite's FTS5 has them."""
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    clean = text.encode(errors="ignore").decode().lower()
    return [word for word in _WORD.findall(clean) if len(word) <= LONGEST_WORD]


def asked(words: str) -> list[str]:
    """The different words of a query, the first `MOST_WORDS` of them."""
    return list(dict.fromkeys(words_of(words)))[:MOST_WORDS]


def bm25(words: Sequence[str], texts: Sequence[str], many: int) -> list[float]:
    """The score of each text for these words; 0 where it has none of them.

    Args:
        texts: every text of a collection that has one of the words; others among them do no harm.
        many: how many texts the collection has.
    """
    wanted = set(words)
    counts = [Counter(found) for found in map(words_of, texts)]
    lengths = [found.total() for found in counts]
    usual = sum(lengths) / len(lengths) if lengths else 1.0
    spread = Counter(word for found in counts for word in wanted & found.keys())
    worth = {word: math.log(1 + (max(many, n) - n + 0.5) / (n + 0.5)) for word, n in spread.items()}

    def score(found: Counter[str], length: int) -> float:
        least = K1 * (1 - B + B * length / (usual or 1.0))
        return sum(worth[w] * found[w] * (K1 + 1) / (found[w] + least) for w in wanted & found.keys())

    return [score(found, length) for found, length in zip(counts, lengths, strict=True)]
