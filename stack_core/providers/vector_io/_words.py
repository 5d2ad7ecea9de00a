"""Word search by SQLite's FTS5: how words become a query, and an index in memory for databases that have none."""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence

MOST_WORDS = 500
"""Different words of a query that are looked for: the first ones."""
TOKENIZER = "unicode61 remove_diacritics 2"

_WORD = re.compile(r"\w+")


def expression(words: str) -> str:
    """Words as an FTS5 query that finds texts with any of them; empty where there is none. Nothing in them is taken
    as FTS5's own syntax."""
    distinct = dict.fromkeys(_WORD.findall(words.encode(errors="ignore").decode().replace("\0", " ").lower()))
    return " OR ".join(f'"{word}"' for word in list(distinct)[:MOST_WORDS])


class WordIndex:
    """Texts by a number, found by their words. In memory; safe in several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._texts.execute(f"CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='{TOKENIZER}')")
        self._count = 0

    def catch_up(self, texts: Sequence[str]) -> None:
        """Take in what was added to the end of `texts` since the last call; a text's number is its place."""
        with self._lock:
            new = ((number, texts[number]) for number in range(self._count, len(texts)))
            self._texts.execute("BEGIN")
            self._texts.executemany("INSERT INTO texts(rowid, text) VALUES (?, ?)", new)
            self._texts.execute("COMMIT")
            self._count = len(texts)

    def search(self, words: str, most: int, keep: Callable[[int], bool]) -> list[tuple[int, float]]:
        """Numbers that `keep` takes with their BM25 scores, the best first."""
        query = expression(words)
        if not query:
            return []
        with self._lock:
            found = self._texts.execute("SELECT rowid, -rank FROM texts WHERE texts MATCH ? ORDER BY rank", (query,))
            return list(itertools.islice((row for row in found if keep(row[0])), most))

    def close(self) -> None:
        """Let the memory go."""
        self._texts.close()
