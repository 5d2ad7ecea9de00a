"""The same question to several models, side by side; in a narrow cell one under the other."""

from __future__ import annotations

from llama_magics.render import answer as one
from llama_magics.render import words
from llama_magics.render.elements import bar, command, esc, foot, note, root, span
from llama_magics.render.markdown import safe_markdown
from llama_magics.render.room import Room, rows_note
from llama_magics.results import Answer, Comparison


def html(comparison: Comparison, room: Room) -> str:
    """A column an answer, each with its own gauges; under them what all took together."""
    answers = room.some(comparison.answers)
    columns = "".join(_column(answer, comparison, room) for answer in answers)
    cut = note(rows_note(room, len(comparison.answers), comparison.bound, "answers", "answers"))
    return root(f'<div class="lsv-duel">{columns}</div>{_after(comparison)}{cut}', *one.VIEWS)


def _column(answer: Answer, comparison: Comparison, room: Room) -> str:
    name, model = room.short(answer.alias or answer.model), room.short(answer.model)
    small = f" {span(model, 'dim', 'small')}" if name != model else ""
    tutorial = f"<span>{words.TUTORIAL}: {command('%stack help models')}</span>" if answer.tutorial else ""
    end = foot([one.states(answer), tutorial, one.trace(answer)])
    return (
        f'<section aria-label="{esc(name)}"><div class="lsv-title"><strong>{esc(name)}</strong>{small}</div>'
        f"<div>{one.body(answer, room)}</div>"
        f'<div class="lsv-end">{_gauges(answer, comparison)}{end}</div></section>'
    )


def _gauges(answer: Answer, comparison: Comparison) -> str:
    """Time, tokens and cost, each as a share of the largest beside it."""
    longest = max(other.seconds for other in comparison.answers)
    lines = [("time", _share(answer.seconds, longest), words.seconds(answer.seconds))]
    if answer.usage:
        most = max(other.usage.output_tokens for other in comparison.answers if other.usage)
        usage = f"{answer.usage.input_tokens:,} → {answer.usage.output_tokens:,}"
        lines.append(("tokens", _share(answer.usage.output_tokens, most), usage))
    if answer.cost is not None:
        dearest = max(other.cost for other in comparison.answers if other.cost is not None)
        lines.append(("cost", _share(answer.cost, dearest), words.money(answer.cost)))
    rows = (f"<div>{span(name, 'dim')} {bar(share)} <span>{esc(figure)}</span></div>" for name, share, figure in lines)
    return f'<div class="lsv-gauge">{"".join(rows)}</div>'


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _after(comparison: Comparison) -> str:
    slowest = max((answer.seconds for answer in comparison.answers), default=0.0)
    parts = [
        f"{words.count(len(comparison.answers), 'answer')} in {words.seconds(slowest)}",
        f"{words.tokens(comparison.usage)} in all",
        f"{words.money(comparison.cost)} in all" if comparison.cost is not None else "",
    ]
    return f'<div class="lsv-after">{foot(span(part, "nw") for part in parts if part)}</div>'


def plain(comparison: Comparison, room: Room) -> str:
    """Each answer under its model's name."""
    parts = [f"── {_name(answer)} ──\n{one.plain(answer, room)}" for answer in room.some(comparison.answers)]
    cut = rows_note(room, len(comparison.answers), comparison.bound, "answers", "answers")
    return "\n\n".join([*parts, cut] if cut else parts)


def markdown(comparison: Comparison, room: Room) -> str:
    """Each answer under its model's name in bold."""
    return "\n\n".join(
        f"**{safe_markdown(room.short(_name(answer)))}**\n\n{one.markdown(answer, room)}"
        for answer in room.some(comparison.answers)
    )


def _name(answer: Answer) -> str:
    return answer.alias or answer.model
