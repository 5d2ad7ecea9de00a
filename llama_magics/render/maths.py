"""Formulas in model text: Markdown leaves them as they are, and the host's MathJax sets them.

Prices are no formulas: hosts typeset only what is found here (see `elements.PLAIN_DOLLARS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_LONGEST = 2_000
"""Characters of one formula: bounds the search for its end."""

_INLINE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("$$", re.compile(r"\$\$[^$]{1,2000}?\$\$")),
    ("$", re.compile(r"\$(?![\s$])[^$\n`]{0,2000}?(?<![\s\\])\$(?!\d)")),
    ("\\(", re.compile(r"\\\(.{1,2000}?\\\)", re.S)),
    ("\\[", re.compile(r"\\\[.{1,2000}?\\\]", re.S)),
)
_BLOCKS = (("$$", "$$"), ("\\[", "\\]"))
_UNSAFE = re.compile(r"\\(href|url|style|class|cssId|data|require|includegraphics|html\w*|unicode)(?![A-Za-z])")


def enable(parser: MarkdownIt) -> None:
    """Teach the parser `$…$`, `$$…$$`, `\\(…\\)` and `\\[…\\]`: tokens of type `maths` with their text as it stands."""
    parser.inline.ruler.before("escape", "maths", _inline)
    parser.block.ruler.before("fence", "maths", _block, {"alt": ["paragraph", "blockquote", "list"]})


def defused(text: str) -> str:
    """The text with the TeX commands that make links, styles and attributes set as plain words."""
    return _UNSAFE.sub(r"\\text{\1}", text)


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    for opening, pattern in _INLINE:
        if state.src.startswith(opening, state.pos) and (found := pattern.match(state.src, state.pos)):
            if not silent:
                state.push("maths", "", 0).content = found[0]
            state.pos = found.end()
            return True
    return False


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    line = _line(state)
    first = line(start)
    closing = next((close for opening, close in _BLOCKS if first.startswith(opening)), None)
    if closing is None or state.is_code_block(start):
        return False
    last = _closing_line(line, first, closing, start, end)
    if last is None:
        return False
    if not silent:
        state.line = last + 1
        state.push("paragraph_open", "p", 1).map = [start, state.line]
        token = state.push("inline", "", 0)
        token.content = "\n".join(line(number) for number in range(start, state.line))
        token.children = []
        token.map = [start, state.line]
        state.push("paragraph_close", "p", -1)
    return True


def _closing_line(line: Callable[[int], str], first: str, closing: str, start: int, end: int) -> int | None:
    """The line on which the formula that begins on `start` ends; None when it does not, or is too long."""
    if len(first) > 4 and first.endswith(closing):
        return start
    size = 0
    for number in range(start + 1, end):
        size += len(line(number))
        if not line(number) or size > _LONGEST:
            return None
        if line(number).endswith(closing):
            return number
    return None


def _line(state: StateBlock) -> Callable[[int], str]:
    return lambda number: state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()
