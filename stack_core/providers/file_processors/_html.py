"""The text of a web page, in linear time whatever the page: one look at each character, no tree that could grow deep.

A reader of text needs no more of HTML than where blocks begin. Malformed pages give what a browser would show, or near.
"""

from __future__ import annotations

import re
from html import unescape

_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "div", "dl", "figcaption", "figure", "footer",
    "form", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "title", "ul",
})  # fmt: skip
_LINES = frozenset({"br", "dd", "dt", "tr"})
_UNSAID = frozenset(
    {"iframe", "math", "noscript", "object", "script", "select", "style", "svg", "template", "textarea"}
)
_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9:-]*")
_STOP = re.compile(r"[>\"']")
_SPACE = re.compile(r"\s+")


def text_of(page: str) -> str:
    """Headings and list entries as Markdown has them, an empty line between blocks, no scripts, no styles."""
    reading = _Reading(page)
    while reading.step():
        pass
    lines = (line.rstrip() for line in "".join(reading.out).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reading:
    """How far a page is read."""

    def __init__(self, page: str) -> None:
        self.page, self.at = page, 0
        self.out: list[str] = []
        self._pre = 0
        self._unpaired: set[str] = set()

    def step(self) -> bool:
        """Read up to the next tag and over it; False at the end."""
        start = self.page.find("<", self.at)
        self._say(self.page[self.at : start if start >= 0 else len(self.page)])
        if start < 0:
            return False
        if self.page.startswith("<!--", start):
            return self._past("-->", start + 4)
        if self.page.startswith(("<!", "<?"), start):
            return self._past(">", start + 2)
        name = _NAME.match(self.page, start + 1)
        if name is None:  # a sign of its own, as in `a < b`
            self.out.append("<")
            self.at = start + 1
            return True
        self.at = self._end_of_tag(name.end())
        return self._tag(name[0].lower())

    def _past(self, sign: str, start: int) -> bool:
        """Go on after the sign; a page without it ends here."""
        found = self.page.find(sign, start)
        self.at = found + len(sign)
        return found >= 0

    def _end_of_tag(self, at: int) -> int:
        """Where a tag ends whose name ends at `at`; a `>` between quotes does not end it."""
        while (stop := _STOP.search(self.page, at)) is not None:
            at = stop.end()
            if stop[0] == ">":
                return at
            if stop[0] in self._unpaired:
                continue
            closing = self.page.find(stop[0], at)
            if closing < 0:  # then there is none further on either: it is not looked for again
                self._unpaired.add(stop[0])
            else:
                at = closing + 1
        return len(self.page)

    def _tag(self, name: str) -> bool:
        closing, kind = name.startswith("/"), name.lstrip("/")
        if kind in _UNSAID and not closing:
            end = re.compile(f"</{kind}", re.IGNORECASE).search(self.page, self.at)
            self.at = end.start() if end else len(self.page)
            return end is not None
        if kind == "pre":
            self._pre = max(0, self._pre + (-1 if closing else 1))
        self.out.append(_break(kind, closing))
        return True

    def _say(self, text: str) -> None:
        if self._pre:
            self.out.append(unescape(text))
        elif text:
            ended = not self.out or self.out[-1].endswith(("\n", " "))
            words = _SPACE.sub(" ", unescape(text))
            self.out.append(words.removeprefix(" ") if ended else words)


def _break(kind: str, closing: bool) -> str:
    """What stands in place of a tag."""
    if kind in _HEADINGS:
        return "\n\n" if closing else f"\n\n{_HEADINGS[kind]} "
    if kind == "li":
        return "" if closing else "\n- "
    if kind in ("td", "th"):
        return "" if closing else " | "
    if kind in _LINES:
        return "" if closing else "\n"
    return "\n\n" if kind in _BLOCKS else ""
