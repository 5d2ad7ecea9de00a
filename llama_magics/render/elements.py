"""The elements that all views share, as HTML text. Every function escapes what it is given unless it says otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from llama_magics.render.theme import style
from llama_magics.results import ErrorNote

SEPARATOR = '<span class="lsv-sep"> · </span>'
"""Seen only where styles are stripped: it keeps the words of a line apart."""

_COMMANDS = ("%", "pip ", "export ", "ollama ", "stack-core ", "make ")
_WAITING = frozenset({"RateLimited", "BudgetReached"})


PLAIN_DOLLARS = "mathjax_ignore tex2jax_ignore"
"""Classes under which hosts typeset no formulas: `$0.50 → $1.00` is money. Formulas in prose turn it on again."""


def root(inner: str, *views: str, card: bool = False) -> str:
    """One view: the root element with its own style first. `inner` is HTML."""
    names = " ".join(["lsv", *(f"lsv-v-{view}" for view in views), *(["lsv-card"] if card else []), PLAIN_DOLLARS])
    return f'<div class="{names}">{style(*views)}{inner}</div>'


def esc(text: object) -> str:
    """Text for an element or a quoted attribute."""
    return escape(str(text), quote=True)


def span(text: str, *classes: str) -> str:
    """Text in a span with `lsv-` classes."""
    return f'<span class="{" ".join(f"lsv-{name}" for name in classes)}">{esc(text)}</span>'


def head(kind: str, name: str, say: str, meta: str = "") -> str:
    """The first lines of a card: what it is, and in words how it is. `say` is HTML."""
    title = f'<span class="lsv-title">{span(kind, "kind")} <strong>{esc(name)}</strong></span>'
    right = f"{SEPARATOR}{span(meta, 'meta')}" if meta else ""
    return f'<div class="lsv-head">{title}{right}<div class="lsv-say">{say}</div></div>'


def section(label: str, inner: str) -> str:
    """A labelled part of a card. `inner` is HTML."""
    return f'<div class="lsv-sec"><div class="lsv-label"><b>{esc(label)}</b></div><div>{inner}</div></div>'


def foot(parts: Iterable[str]) -> str:
    """A footer of HTML parts, kept apart by separators where styles are stripped; what opens begins a line there."""
    line = SEPARATOR.join(part for part in parts if part).replace(f"{SEPARATOR}<details", "<details")
    return f'<div class="lsv-foot">{line}</div>'


def badge(words: str, state: str) -> str:
    """A state in words: ok, warn, bad or info."""
    return span(words, "badge", state)


def mark(sign: str, state: str, label: str) -> str:
    """A state in one sign, with a name for those who do not see it."""
    return f'<span class="lsv-mark lsv-{state}" role="img" aria-label="{esc(label)}">{sign}</span>'


def command(text: str) -> str:
    """A command to copy."""
    return f'<code class="lsv-cmd">{esc(text)}</code>'


def remedy(text: str) -> str:
    """A hint or fix: wholly a command, or a sentence whose `backticked` parts are commands to copy."""
    if text.startswith(_COMMANDS) and "`" not in text and "\n" not in text:
        return command(text)
    parts = re.split(r"`([^`\n]+)`", text)
    return "".join(command(part) if i % 2 else esc(part) for i, part in enumerate(parts))


def ticked(text: str) -> str:
    """A sentence whose `backticked` parts are names."""
    parts = re.split(r"`([^`\n]+)`", text)
    return "".join(f"<code>{esc(part)}</code>" if i % 2 else esc(part) for i, part in enumerate(parts))


def box(text: str, label: str, *, wrap: bool = False, tall: bool = False) -> str:
    """Preformatted text that scrolls inside; `label` names the box for screen readers."""
    names = "lsv-box" + (" lsv-wrap" if wrap else "") + (" lsv-tall" if tall else "")
    return f'<pre class="{names}" tabindex="0" role="group" aria-label="{esc(label)}">{esc(text)}</pre>'


def more(summary: str, inner: str, *classes: str) -> str:
    """A part that opens. `inner` is HTML."""
    names = " ".join(["lsv-more", *(f"lsv-{name}" for name in classes)])
    return f'<details class="{names}"><summary>{esc(summary)}</summary>{inner}</details>'


def bar(share: float) -> str:
    """A share of 1 as a bar; its number stands beside it."""
    width = f"{min(max(share, 0.0), 1.0):.0%}"
    return f'<span class="lsv-bar" aria-hidden="true"><i style="width:{width}"></i></span>'


def next_steps(steps: Iterable[tuple[str, str]]) -> str:
    """The section of commands worth running next; empty without any."""
    lines = [f"<li>{command(text)}{SEPARATOR}{span(does, 'dim')}</li>" for text, does in steps]
    return section("next", f'<ul class="lsv-next">{"".join(lines)}</ul>') if lines else ""


def note(words: str) -> str:
    """A sentence about what is not shown; empty for no words."""
    return f'<div class="lsv-cutnote">{ticked(words)}</div>' if words else ""


def table(columns: list[str], rows: Iterable[list[str]], numeric: Iterable[int] = (), *, full: bool = False) -> str:
    """A table whose first column heads its row; `numeric` columns align right. The cells are HTML, the columns text."""
    right = frozenset(numeric)
    number = [' class="lsv-num"' if i in right else "" for i in range(len(columns))]
    heads = "".join(f'<th scope="col"{number[i]}>{esc(name)}</th>' for i, name in enumerate(columns))
    lines = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{number[i]}>{cell}</th>' if i == 0 else f"<td{number[i]}>{cell}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    names = "lsv-t lsv-full" if full else "lsv-t"
    return f'<table class="{names}"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'


def fault(error: ErrorNote) -> str:
    """A typed error: type, cause, place, remedy and what is still intact. Needs the rules of the `error` view."""
    state = "warn" if error.type in _WAITING else "bad"
    parts = [f'<strong class="lsv-{state}">{esc(error.type)}</strong> {ticked(error.message)}']
    if error.where:
        parts.append(f'<pre class="lsv-at" tabindex="0" role="group" aria-label="place">{esc(error.where)}</pre>')
    if error.hint:
        parts.append(f'<div class="lsv-hint">{remedy(error.hint)}</div>')
    if error.intact:
        parts.append(f'<div class="lsv-hint lsv-dim">{ticked(error.intact)}</div>')
    return f'<div class="lsv-say-{state}" role="note">{"".join(parts)}</div>'
