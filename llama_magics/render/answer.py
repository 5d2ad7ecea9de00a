"""One model's answer: its text, how it ended, and in the footer what it took."""

from __future__ import annotations

import json
from typing import Any

from llama_magics.render import words
from llama_magics.render.elements import (
    badge,
    box,
    command,
    esc,
    fault,
    foot,
    more,
    note,
    root,
    span,
    table,
    ticked,
)
from llama_magics.render.error import plain as plain_error
from llama_magics.render.markdown import safe_markdown
from llama_magics.render.room import Room, cut_note, rows_note
from llama_magics.render.sanitise import prose
from llama_magics.results import Answer

VIEWS = ("ask", "prose", "error")


def html(answer: Answer, room: Room) -> str:
    """The answer with its footer, no wider than reads well."""
    return root(f'<div class="lsv-measure">{body(answer, room)}{_foot(answer, room)}</div>', *VIEWS)


def body(answer: Answer, room: Room) -> str:
    """What the model thought, wrote and asked for, and the error that ended it."""
    parts = [_reasoning(answer, room), _text(answer, room), _tool_calls(answer, room)]
    if answer.error is not None:
        parts.append(fault(answer.error))
    return "".join(parts)


def _reasoning(answer: Answer, room: Room) -> str:
    if not answer.reasoning:
        return ""
    cut = note(cut_note(room, answer.reasoning, answer.bound, "reasoning"))
    summary = f"reasoning, {words.count(len(answer.reasoning), 'character')}"
    return more(summary, box(room.cut(answer.reasoning), "reasoning", wrap=True) + cut, "why")


def _text(answer: Answer, room: Room) -> str:
    if answer.value is not None:
        return _typed(answer, room)
    if not answer.text:
        return (
            "" if answer.tool_calls or answer.error else f'<div class="lsv-prose">{span("No text came.", "dim")}</div>'
        )
    shown = prose(room.cut(answer.text))
    if answer.state == "cancelled":
        shown = _with_caret(shown)
    return f'<div class="lsv-prose" dir="auto">{shown}</div>{note(cut_note(room, answer.text, answer.bound))}'


def _with_caret(shown: str) -> str:
    """Mark where the text stopped, inside the last paragraph where there is one."""
    caret = '<span class="lsv-cut"></span>'
    kept = shown.rstrip()
    return f"{kept.removesuffix('</p>')}{caret}</p>" if kept.endswith("</p>") else kept + caret


def _typed(answer: Answer, room: Room) -> str:
    """A parsed answer: the fields of an object as a table, anything else as JSON."""
    if not isinstance(answer.value, dict) or not answer.value:
        text = _json(answer.value)
        return box(room.cut(text), "value") + note(cut_note(room, text, answer.bound, "value"))
    fields = list(answer.value.items())
    rows = [[esc(room.short(name)), esc(room.short(_field(value)))] for name, value in room.some(fields)]
    return table(["field", "value"], rows) + note(rows_note(room, len(fields), answer.bound, "value", "fields"))


def _field(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value)
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _tool_calls(answer: Answer, room: Room) -> str:
    if not answer.tool_calls:
        return ""
    calls = "\n".join(f"{call.name}({room.short(call.arguments)})" for call in room.some(answer.tool_calls))
    cut = note(rows_note(room, len(answer.tool_calls), answer.bound, "tool_calls", "tool calls"))
    summary = f"asks for {words.count(len(answer.tool_calls), 'tool call')}"
    return f'<div class="lsv-call">{span(summary, "dim", "small")}{box(calls, "tool calls")}{cut}</div>'


def states(answer: Answer) -> str:
    """Badges of what is out of the ordinary: stopped, failed, cut by a limit, the tutorial model."""
    out = []
    if ending := words.ending(answer):
        sign = {"cancelled": "■ ", "failed": "✕ "}.get(answer.state, "! ")
        out.append(badge(sign + ending, "bad" if answer.state == "failed" else "warn"))
    if answer.tutorial:
        out.append(badge("tutorial model", "info"))
    return " ".join(out)


def trace(answer: Answer) -> str:
    """The word that opens the way to the call's spans; empty without a trace."""
    if not answer.trace:
        return ""
    rows = []
    if answer.first_token_seconds is not None:
        rows.append(["first word after", esc(words.seconds(answer.first_token_seconds))])
    if answer.finish_reason:
        rows.append(["ended by", esc(answer.finish_reason)])
    lines = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    facts = f'<table class="lsv-t lsv-mini"><tbody>{lines}</tbody></table>' if rows else ""
    return more("trace", f"{facts}<span>all spans: {command(f'%stack trace {answer.trace}')}</span>")


def _foot(answer: Answer, room: Room) -> str:
    took = words.seconds(answer.seconds)
    if answer.first_token_seconds is not None:
        took += f", first word after {words.seconds(answer.first_token_seconds)}"
    parts = [states(answer), _by(answer, room)]
    if answer.tutorial:
        parts.append(f"<span>{words.TUTORIAL}: {command('%stack help models')}</span>")
    if answer.chat:
        parts.append(f'<span class="lsv-nw">chat {esc(room.short(answer.chat))}</span>')
    if answer.usage:
        parts.append(span(words.tokens(answer.usage), "nw"))
    if answer.cost is not None:
        parts.append(span(words.money(answer.cost), "nw"))
    parts.append(span(took, "nw"))
    if kept := words.bound(answer):
        parts.append(f"<span>{ticked(kept)}</span>")
    return foot([*parts, trace(answer)])


def _by(answer: Answer, room: Room) -> str:
    model = room.short(answer.model)
    if answer.alias and answer.alias != answer.model:
        return f"<span>{span(room.short(answer.alias), 'by')} {esc(model)}</span>"
    return span(model, "by")


def plain(answer: Answer, room: Room) -> str:
    """Text, error and a footer. Durations and ids stay out: the same answer reads the same at every run."""
    parts = [plain_body(answer, room), f"[{plain_foot(answer)}]"]
    return "\n\n".join(part for part in parts if part)


def plain_body(answer: Answer, room: Room) -> str:
    """What stands above the footer, without marks of any kind."""
    field, text = ("text", answer.text) if answer.value is None else ("value", _json(answer.value))
    parts = [room.cut(text).strip("\n"), cut_note(room, text, answer.bound, field)]
    parts += [f"→ {call.name}({room.short(call.arguments)})" for call in room.some(answer.tool_calls)]
    parts.append(rows_note(room, len(answer.tool_calls), answer.bound, "tool_calls", "tool calls"))
    if answer.error is not None:
        parts.append(plain_error(answer.error, room))
    return "\n".join(part for part in parts if part) or "No text came."


def plain_foot(answer: Answer, *, timed: bool = False) -> str:
    """The footer's words; with `timed` the seconds too, for a terminal that shows the answer once."""
    parts = [words.ending(answer), f"{answer.alias} {answer.model}" if answer.alias else answer.model]
    if answer.tutorial:
        parts.append(f"tutorial model, {words.TUTORIAL}: %stack help models")
    parts.append(words.tokens(answer.usage) if answer.usage else "")
    parts.append(words.money(answer.cost) if answer.cost is not None else "")
    parts.append(words.seconds(answer.seconds) if timed else "")
    parts.append(words.bound(answer))
    return " · ".join(part for part in parts if part)


def markdown(answer: Answer, room: Room) -> str:
    """The text as Markdown that no host can run, and the footer as a small line."""
    error = f"**{answer.error.type}** {answer.error.message}" if answer.error else ""
    calls = "\n".join(f"    {call.name}({room.short(call.arguments)})" for call in room.some(answer.tool_calls))
    parts = [
        safe_markdown(room.cut(answer.text)),
        cut_note(room, answer.text, answer.bound),
        calls,
        safe_markdown(room.short(error)),
        f"*{safe_markdown(plain_foot(answer))}*",
    ]
    return "\n\n".join(part for part in parts if part)
