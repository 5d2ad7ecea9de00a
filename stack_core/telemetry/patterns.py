"""Regular expressions that callers send. Python's engine can take years for some; those are refused before they run."""

from __future__ import annotations

import re

from stack_core.errors import InvalidRequest

MOST_REPEATS = 3
"""Repeats and choices in one expression. With this many, none inside another, a match takes at most about the third
power of the text's length."""
LONGEST_TEXT = 512
"""Characters of an expression, and of a text that is looked at."""
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|\(\??|.", re.DOTALL)


def compiled(text: str, where: str) -> re.Pattern[str]:
    """An expression that takes no more than a moment on a text of `LONGEST_TEXT`.

    Raises:
        InvalidRequest: it is none, or it could take longer.
    """
    why = f"it is longer than {LONGEST_TEXT} characters" if len(text) > LONGEST_TEXT else _slow(text)
    try:
        pattern = re.compile(text[:LONGEST_TEXT])
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"{where}: {text[:100]!r} is no regular expression: {error}") from error
    if why:
        raise InvalidRequest(
            f"{where}: {text[:100]!r} could take too long: {why}",
            f"use at most {MOST_REPEATS} repeats (*, +, ?, {{…}}) and groups of alternatives, none inside another",
        )
    return pattern


def _slow(text: str) -> str | None:
    """Why an expression may be slow; None where it is not."""
    repeats = 0
    groups: list[set[str]] = [set()]  # of the open groups, whether something repeats, and whether it has alternatives
    before, inside = "", set[str]()  # the last token, and what the group has that it closed
    for token in _TOKEN.findall(text):
        if token[0] == "(":
            groups.append(set())
        elif token == "|":
            groups[-1].add("alternatives")
        elif token == ")" and len(groups) > 1:
            repeats += "alternatives" in (inside := groups.pop())
            groups[-1] |= inside and {"repeats"}
        elif _repeats(token) and not _repeats(before):  # after another one it says how greedy that is
            repeats += 1
            if before == ")" and inside:
                return "a repeat of what repeats or has alternatives"
            groups[-1].add("repeats")
        elif token[0] == "\\" and token[1:].isdigit():
            return "a reference to a group"
        before = token
    return f"it has {repeats} of them" if repeats > MOST_REPEATS else None


def _repeats(token: str) -> bool:
    return token in ("*", "+", "?") or (token[:1] == "{" and len(token) > 2)
