"""A text as a reader sees it, so that invisible letters and look-alikes hide nothing from a rule.

Zero-width and other invisible characters are left out, full-width and styled letters become plain ones, and Cyrillic
and Greek letters that look like Latin ones become those. Not undone: a letter and a combining accent in two characters,
letters drawn by several characters, and words such as `name (at) host (dot) org`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e01ef]"
)
_LOOK_ALIKES = dict(
    zip(
        "аеорсухіјѕԁһԛԝьАВЕКМНОРСТУХІЈЅԚԜαορνικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",  # the look-alikes are meant
        "aeopcyxijsdhqwbABEKMHOPCTYXIJSQWaopvikABEZHIKMNOPTYX",
        strict=True,
    )
)


class _Plain(dict[int, str]):
    """For `str.translate`: what a character looks like, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        plain = unicodedata.normalize("NFKC", character)
        found = self[code] = _LOOK_ALIKES.get(character) or (plain if len(plain) == 1 else character)
        return found


_PLAIN = _Plain()


class View:
    """`text` is without invisible characters, `plain` has as many characters and no look-alikes either."""

    def __init__(self, text: str) -> None:
        self.text = self.plain = text
        self._left_out: list[int] = []
        if not text.isascii():
            gone = [match.start() for match in _INVISIBLE.finditer(text)]
            self._left_out = [place - number for number, place in enumerate(gone)]
            self.text = _INVISIBLE.sub("", text) if gone else text
            self.plain = self.text.translate(_PLAIN)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the view stands in the text itself; not empty."""
        if not self._left_out:
            return start, end
        return self._place(start), self._place(end - 1) + 1

    def _place(self, index: int) -> int:
        return index + bisect_right(self._left_out, index)


def lowered(text: str) -> str:
    """In small letters, with as many characters as before."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(one if len(one := letter.lower()) == 1 else letter for letter in text)
