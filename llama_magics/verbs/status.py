"""`%stack`: one card of what is open, what answers, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_magics import health, source
from llama_magics.results import ProviderLine, Status
from llama_magics.session import Session
from stack_core.errors import ProviderUnavailable

if TYPE_CHECKING:
    from llama_magics.cell import Cell

_FIRST = [
    ('%stack ask "hi"', "a first answer, at once"),
    ("%stack use starter", "services whose keys are set"),
    ("%stack help", "the verbs on one page"),
]


def run(cell: Cell) -> Status:
    """Show the card."""
    return status(cell.session, source.call("status", out=cell.line.options.get("out")))


def status(session: Session, code: str = "") -> Status:
    """How the session is. Opens nothing and asks no model."""
    totals = session.totals
    card = Status(
        stack=session.current,
        chats=sorted(session.chats),
        usage=totals.usage,
        cost=totals.cost,
        calls=totals.calls,
        code=code,
    )
    opened = session.stacks.get(session.current or "")
    if opened is None:
        card.next_steps, card.tutorial = _FIRST, session.settings.distribution == "notebook"
        return card
    try:
        card.providers = health.provider_lines(session, opened)
    except ProviderUnavailable as error:  # a server that has gone: the card says so
        card.providers = [ProviderLine("server", opened.name, "server", "Error", error.message, error.hint)]
        card.next_steps = [("%stack use notebook", "a stack in this kernel")]
        return card
    card.default = session.settings.model or (opened.config.default_model if opened.config else None)
    aliases = opened.config.aliases if opened.config else {}
    card.models = len(session.run(lambda _: opened.models()))
    if card.default:
        name = card.default
        card.tutorial = session.run(lambda _: opened.info(name)).tutorial
    card.next_steps = health.next_steps(card.providers, aliases, card.default)
    if totals.calls:
        card.next_steps = [*card.next_steps[:2], ("%stack code", "this notebook's last cell as Python")]
    return card
