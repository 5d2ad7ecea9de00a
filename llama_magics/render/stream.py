"""Answers while they come: one display, updated in place about twenty times a second, and the whole bundle at the end.

While a text grows it is only escaped, not parsed: Markdown at this rate would take more time than the model.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from html import escape
from typing import Any, Protocol, cast

from llama_magics import render
from llama_magics.render.answer import plain_foot
from llama_magics.render.elements import PLAIN_DOLLARS
from llama_magics.render.outgoing import clean
from llama_magics.results import Answer, Comparison, Shown, ToolStep

SWITCH = "LLAMA_MAGICS_LIVE"
"""Environment variable: `0` shows one final output instead of a stream (nbval compares no updates)."""

_GAP = 0.05
"""Seconds between two updates."""
_TAIL = 12_000
"""Characters of a growing text that are shown, its end; the whole comes when it is complete."""
_LONGEST_WORD = 500
"""Characters of a last word that waits for its end."""

_BLOCK = (
    "max-width:700px;white-space:pre-wrap;overflow-wrap:break-word;line-height:1.6;"
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-content-font-size1,14px);"
    "color:var(--jp-ui-font-color1,var(--vscode-editor-foreground,inherit))"
)
_SMALL = "font-size:.86em;opacity:.75"
_FOOT = (
    "max-width:700px;margin-top:10px;padding-top:6px;border-top:1px solid rgba(128,128,128,.3);opacity:.75;"
    "font:12px/1.5 var(--jp-ui-font-family,system-ui,sans-serif)"
)


class Growing:
    """A reducer: deltas are appended, a final event sets, so any chunking gives the text exactly once."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.text = ""
        self.thoughts = ""
        self.tools: list[ToolStep] = []
        self.is_final = False

    def feed(self, text: str) -> None:
        """Append a delta. After a final event deltas are repeats, and change nothing."""
        if not self.is_final:
            self.text += text

    def reasoning(self, text: str) -> None:
        """Append a delta of what the model thinks."""
        self.thoughts += text

    def set(self, text: str) -> None:
        """Take the whole text of a final event."""
        self.text = text
        self.is_final = True

    def tool(self, step: ToolStep) -> None:
        """Add a tool call, or set it anew where its id is known."""
        self.tools = [known for known in self.tools if known.id != step.id or not step.id]
        self.tools.append(step)

    def html(self, words: str) -> str:
        """The growing text: plain inline styles, so that the host restyles nothing but this output."""
        shown = []
        if self.thoughts and not self.text:
            shown.append(f'<div style="{_BLOCK};opacity:.75">{escape(_ready(self.thoughts))}</div>')
        if hidden := len(self.text) - _TAIL if len(self.text) > _TAIL else 0:
            shown.append(f'<div style="{_SMALL}">… {hidden:,} earlier characters are hidden while the text grows</div>')
        shown.append(f'<div dir="auto" style="{_BLOCK}">{escape(words, quote=False)}</div>')
        for tool in self.tools:
            call = _leaving(f"{tool.name}({tool.arguments})")[:300]
            shown.append(f'<div style="{_SMALL}"><code>{escape(call)}</code></div>')
        shown.append(f'<div style="{_FOOT}">{escape(_leaving(self.model))} · {self._doing()}</div>')
        return "".join(shown)

    def words(self) -> str:
        """The end of the text, ready to leave."""
        return _leaving(self.text)[-_TAIL:] if self.is_final else _ready(self.text)

    def _doing(self) -> str:
        if self.text:
            return "answering; interrupt the kernel to stop"
        return "thinking" if self.thoughts else "waiting for the first word"


def _leaving(text: str) -> str:
    return render.scrub(clean(text))


def _ready(text: str) -> str:
    """The end of a growing text that may leave, without a last word that may go on.

    A secret is seen whole before it is shown: it has no spaces, and is shorter than the margin that is read and dropped
    at the beginning.
    """
    return _leaving(_settled(text[-_TAIL - _LONGEST_WORD :]))[-_TAIL:]


def _settled(text: str) -> str:
    """The text without a last word, escape or line end that may go on."""
    end = len(text)
    while end and len(text) - end < _LONGEST_WORD and ("!" <= text[end - 1] <= "~" or text[end - 1] in "\r\x1b"):
        end -= 1
    return text[:end]


class _Screen(Protocol):
    """Where a stream is shown."""

    def grow(self, parts: Sequence[Growing]) -> None:
        """Something came."""

    def finish(self, result: Shown) -> None:
        """All came, or an error ended it."""


class _Live:
    """A notebook's output that is replaced in place."""

    def __init__(self, parts: Sequence[Growing]) -> None:
        from IPython.display import DisplayHandle

        self._shown_at = time.monotonic()
        self._handle = cast(Any, DisplayHandle)()
        self._handle.display(_frame(parts), raw=True)

    def grow(self, parts: Sequence[Growing]) -> None:
        now = time.monotonic()
        if now - self._shown_at >= _GAP:
            self._shown_at = now
            self._handle.update(_frame(parts), raw=True)

    def finish(self, result: Shown) -> None:
        self._handle.update(render.bundle(result), raw=True)


class _AtTheEnd:
    """A notebook's output that is shown once."""

    def grow(self, parts: Sequence[Growing]) -> None:
        """Nothing is shown before the end."""

    def finish(self, result: Shown) -> None:
        from IPython.display import publish_display_data

        cast(Any, publish_display_data)(render.bundle(result))


class _Terminal:
    """A terminal: one text is printed as it comes, several one after the other when they are complete."""

    def __init__(self, is_live: bool) -> None:
        self._is_live = is_live
        self._printed = ""  # as it came, before it was made ready to leave

    def grow(self, parts: Sequence[Growing]) -> None:
        if self._is_live and len(parts) == 1:
            growing = parts[0]
            self._print(growing.text if growing.is_final else _settled(growing.text))

    def _print(self, whole: str) -> None:
        if len(whole) > len(self._printed) and whole.startswith(self._printed):
            sys.stdout.write(_leaving(whole[len(self._printed) :]))
            sys.stdout.flush()
            self._printed = whole

    def finish(self, result: Shown) -> None:
        if isinstance(result, Answer):
            self._end(result)
        else:
            sys.stdout.write(("\n" if self._printed else "") + render.plain(result) + "\n")
        sys.stdout.flush()

    def _end(self, answer: Answer) -> None:
        if answer.text.startswith(self._printed):
            self._print(answer.text)
        else:  # a final event corrected what the deltas had said
            sys.stdout.write("\n\n" + _leaving(answer.text))
        if answer.error is not None:
            sys.stdout.write("\n" + render.plain(answer.error))
        calls = "".join(f"\n→ {call.name}({call.arguments})" for call in answer.tool_calls)
        sys.stdout.write(_leaving(f"{calls}\n\n[{plain_foot(answer, timed=True)}]\n"))


class _Quiet:
    """Nothing is shown (`-q`, a trailing `;`)."""

    def grow(self, parts: Sequence[Growing]) -> None:
        """Nothing is shown."""

    def finish(self, result: Shown) -> None:
        """Nothing is shown."""


def _frame(parts: Sequence[Growing]) -> dict[str, str]:
    """One update: HTML for the notebook, and the text alone for whoever reads the file if the kernel dies meanwhile."""
    words = [part.words() for part in parts]
    shown = [part.html(text) for part, text in zip(parts, words, strict=True)]
    plain = "\n\n".join(words)
    if len(parts) == 1:
        return {"text/html": f'<div class="{PLAIN_DOLLARS}">{shown[0]}</div>', "text/plain": plain}
    grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,260px),1fr));gap:12px 24px"
    columns = "".join(f'<div style="min-width:0">{column}</div>' for column in shown)
    return {"text/html": f'<div class="{PLAIN_DOLLARS}" style="{grid}">{columns}</div>', "text/plain": plain}


def _screen(shell: Any, parts: Sequence[Growing], quiet: bool) -> _Screen:
    if quiet:
        return _Quiet()
    is_live = os.environ.get(SWITCH) != "0"
    if not hasattr(shell, "kernel"):
        return _Terminal(is_live)
    return _Live(parts) if is_live else _AtTheEnd()


class LiveAnswer:
    """One answer while it comes. Call it from one thread at a time; it starts none.

    `shell` is the IPython shell (a kernel's shows HTML, any other is a terminal); `model` is what is asked.
    """

    def __init__(self, shell: Any, model: str, quiet: bool = False) -> None:
        self._growing = Growing(model)
        self._screen = _screen(shell, [self._growing], quiet)

    @property
    def text(self) -> str:
        """What has come so far."""
        return self._growing.text

    def feed(self, text: str) -> None:
        """A delta of the text."""
        self._growing.feed(text)
        self._screen.grow([self._growing])

    def reasoning(self, text: str) -> None:
        """A delta of what the model thinks."""
        self._growing.reasoning(text)
        self._screen.grow([self._growing])

    def set(self, text: str) -> None:
        """The whole text, from a final event."""
        self._growing.set(text)
        self._screen.grow([self._growing])

    def tool(self, step: ToolStep) -> None:
        """A tool call."""
        self._growing.tool(step)
        self._screen.grow([self._growing])

    def finish(self, result: Shown) -> None:
        """Replace the stream by the result: the answer, or the error where nothing came."""
        self._screen.finish(result)


class LiveComparison:
    """Several answers while they come, in the columns of one display; `part` numbers them from 0."""

    def __init__(self, shell: Any, models: Sequence[str], quiet: bool = False) -> None:
        self._growing = [Growing(model) for model in models]
        self._screen = _screen(shell, self._growing, quiet)

    def text(self, part: int) -> str:
        """What has come so far of one answer."""
        return self._growing[part].text

    def feed(self, part: int, text: str) -> None:
        """A delta of one text."""
        self._growing[part].feed(text)
        self._screen.grow(self._growing)

    def reasoning(self, part: int, text: str) -> None:
        """A delta of what one model thinks."""
        self._growing[part].reasoning(text)
        self._screen.grow(self._growing)

    def set(self, part: int, text: str) -> None:
        """The whole text of one answer, from its final event."""
        self._growing[part].set(text)
        self._screen.grow(self._growing)

    def tool(self, part: int, step: ToolStep) -> None:
        """A tool call of one model."""
        self._growing[part].tool(step)
        self._screen.grow(self._growing)

    def finish(self, result: Comparison | Shown) -> None:
        """Replace the streams by the result."""
        self._screen.finish(result)
