"""What `doctor` found: the verdict, then a line a check with the remedy beside the fault."""

from __future__ import annotations

from llama_magics.render.elements import esc, head, mark, note, remedy, root
from llama_magics.render.room import Room, rows_note
from llama_magics.render.words import and_list, count
from llama_magics.results import Check, Report

_SIGNS = {"ok": ("✓", "ok", "passes"), "warn": ("!", "warn", "warning"), "bad": ("✕", "bad", "fails")}


def html(report: Report, room: Room) -> str:
    """The card, faults first."""
    lines = "".join(_line(check, room) for check in room.some(_sorted(report)))
    cut = note(rows_note(room, len(report.checks), None, "checks", "checks"))
    body = f'<div class="lsv-body"><ul class="lsv-checks">{lines}</ul>{cut}</div>'
    return root(head("stack", esc(report.title), esc(_verdict(report))) + body, "list", card=True)


def _line(check: Check, room: Room) -> str:
    name = f'<span class="lsv-id">{mark(*_SIGNS[check.status])} {esc(room.short(check.name))}</span>'
    fix = f" {remedy(room.short(check.fix))}" if check.fix else ""
    return f"<li>{name} <span>{esc(room.short(check.message))}{fix}</span></li>"


def _sorted(report: Report) -> list[Check]:
    return sorted(report.checks, key=lambda check: ("bad", "warn", "ok").index(check.status))


def _verdict(report: Report) -> str:
    if report.say:
        return report.say
    total = len(report.checks)
    bad, warn = (sum(check.status == status for check in report.checks) for status in ("bad", "warn"))
    if not bad and not warn:
        return f"All {count(total, 'check')} pass."
    wrong = [f"{bad} fail" + ("s" if bad == 1 else "")] if bad else []
    wrong += [count(warn, "warning")] if warn else []
    return f"{total - bad - warn} of {count(total, 'check')} pass; {and_list(wrong)}."


def plain(report: Report, room: Room) -> str:
    """The report for a terminal."""
    lines = [f"{report.title}: {_verdict(report)}"]
    for check in room.some(_sorted(report)):
        fix = f"  →  {room.short(check.fix)}" if check.fix else ""
        lines.append(f"  {_SIGNS[check.status][0]} {room.short(check.name)}: {room.short(check.message)}{fix}")
    if cut := rows_note(room, len(report.checks), None, "checks", "checks"):
        lines.append(cut)
    return "\n".join(lines)
