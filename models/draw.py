"""Seeded random choices, split so that evaluation sees names and phrasings that training never does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")

HELD_OUT_EVERY = 5  # one phrasing in five, and one name in ten, is kept for evaluation
HELD_OUT_NAMES = 10


def is_held_out(name: str) -> bool:
    """Whether a name belongs to evaluation; by its checksum, so that the split needs no list."""
    return crc32(name.lower().encode()) % HELD_OUT_NAMES == 0


def words(text: str, separator: str = " ") -> list[str]:
    """The items of a list written as one text; long word lists stay readable that way."""
    return text.split(separator)


class Draw:
    """A random source for one side of the split."""

    def __init__(self, seed: int, *, held_out: bool = False, held_out_phrases: bool | None = None) -> None:
        """`held_out` names, and phrasings of the same side unless `held_out_phrases` says otherwise."""
        self.random = random.Random(seed)
        self.held_out = held_out
        self.held_out_phrases = held_out if held_out_phrases is None else held_out_phrases
        self.most_facts = 5  # how crowded a context may be; training starts with fewer

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def one(self, choices: Sequence[T]) -> T:
        return choices[int(self.random.random() * len(choices))]

    def phrase(self, choices: Sequence[T]) -> T:
        """One of this side's phrasings: each fifth is held out. Fewer than five are shared by both sides."""
        if len(choices) < HELD_OUT_EVERY:
            return self.one(choices)
        while True:
            index = self.random.randrange(len(choices))
            if (index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == self.held_out_phrases:
                return choices[index]

    def name(self, make: Callable[[], str]) -> str:
        """A name from `make` that is on this side of the split."""
        while True:
            name = make()
            if is_held_out(name) == self.held_out:
                return name

    def several(self, choices: Sequence[T], count: int) -> list[T]:
        return self.random.sample(choices, count)
