"""Model text as Markdown that no host can run: hosts differ in what raw HTML and which links they let through."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#|\w{1,31};)")
_SCHEME = re.compile(r"(?i)\b(javascript|vbscript|data|file)(?=\s*:)")
_SPAN = re.compile(r"(?<!`)(`{1,8})(?!`)([^\n]{1,2000}?)(?<!`)\1(?!`)")
_GAP = "\u200b"


def safe_markdown(text: str) -> str:
    """The text with tags, entities, images and script addresses made plain; an open code fence is closed.

    Outside code `<` becomes an entity. Inside code, where entities show, a zero-width space keeps `<` from
    beginning a tag.
    """
    lines = text.split("\n")
    code = _code_lines(text)
    shown = [_TAG.sub("<" + _GAP, line) if i in code else _plain(line) for i, line in enumerate(lines)]
    fence = _open_fence(text, len(lines))
    return "\n".join([*shown, fence] if fence else shown)


def _plain(line: str) -> str:
    out, at = [], 0
    for found in _SPAN.finditer(line):
        out += [_defused(line[at : found.start()]), _TAG.sub("<" + _GAP, found[0])]
        at = found.end()
    return "".join([*out, _defused(line[at:])])


def _defused(piece: str) -> str:
    piece = _ENTITY.sub("&amp;", piece)
    piece = _TAG.sub("&lt;", piece).replace("![", "[")
    return _SCHEME.sub(r"\1 ", piece)


def _blocks(text: str) -> list[tuple[str, int, int]]:
    tokens = MarkdownIt("commonmark").parse(text)
    return [(t.markup, t.map[0], t.map[1]) for t in tokens if t.type in ("fence", "code_block") and t.map]


def _code_lines(text: str) -> frozenset[int]:
    return frozenset(line for _, start, end in _blocks(text) for line in range(start, end))


def _open_fence(text: str, total: int) -> str:
    """The fence that closes a code block still open at the end of the text; empty when none is."""
    blocks = _blocks(text)
    if not blocks or not blocks[-1][0]:
        return ""
    markup, _, end = blocks[-1]
    last = text.split("\n")[end - 1].strip()
    is_closed = last.startswith(markup) and set(last) == {markup[0]} and end - blocks[-1][1] > 1
    return "" if is_closed or end < len(text.rstrip("\n").split("\n")) else markup
