"""Numbers and states in words, the same in every form of an output."""

from __future__ import annotations

from llama_magics.results import Answer, Usage

TUTORIAL = "for learning the language, not for facts"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 provider`, `3 providers`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def tokens(usage: Usage) -> str:
    """`412 → 196 tokens`: in → out."""
    return f"{usage.input_tokens:,} → {usage.output_tokens:,} tokens"


def money(dollars: float) -> str:
    """US dollars with two significant digits below a cent."""
    if dollars == 0:
        return "$0"
    if dollars < 0.0001:
        return "under $0.0001"
    return f"${dollars:.4f}" if dollars < 0.01 else f"${dollars:,.2f}"


def seconds(value: float) -> str:
    """A duration with the precision that a reader uses."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def ending(answer: Answer) -> str:
    """What is out of the ordinary about how an answer ended, in words; empty for an ordinary end."""
    if answer.state == "cancelled":
        return "stopped by you"
    if answer.state == "failed":
        return "failed"
    return {"length": "ends at max_tokens", "content_filter": "ended by the service's filter"}.get(
        answer.finish_reason or "", ""
    )


def bound(answer: Answer) -> str:
    """Where a partial answer is kept."""
    if answer.state == "done" or not answer.bound:
        return ""
    return f"kept in `{answer.bound}.text`"


def and_list(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
