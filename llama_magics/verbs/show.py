"""`show`: the models, providers, chats, files, tools, … that there are, or one of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_magics import health, source
from llama_magics.kept import KEPT, listing, one
from llama_magics.render.providers import verdict
from llama_magics.render.words import count
from llama_magics.results import Listing, Shown, Value
from llama_magics.session import Session
from llama_magics.verbs.status import status
from stack_core.errors import InvalidRequest, NotFound, StackError, nearest

if TYPE_CHECKING:
    from llama_magics.cell import Cell


LATER = ("agents",)
"""Kinds of the language that this version does not have."""


def run(cell: Cell) -> Shown:
    """Show what the words name."""
    words = cell.words()
    shown = show(cell.session, *words)
    vars(shown)["code"] = source.call("show", *words, out=cell.line.options.get("out"))
    return shown


def show(session: Session, kind: str | None = None, name: str | None = None) -> Shown:
    """A list, or one thing by its kind and name; a name alone is looked for among all kinds.

    Raises:
        NotFound: nothing has this name; names the nearest.
    """
    if kind is None:
        return status(session)
    if kind in KINDS:
        return KINDS[kind](session) if name is None else ONE[kind](session, name)
    if kind in LATER:
        raise InvalidRequest(f"{kind} are not in this version", f"kinds: {', '.join(KINDS)}")
    if name is not None:
        close = nearest(kind, KINDS)
        hint = f"did you mean {close[0]}?" if close else f"kinds: {', '.join(KINDS)}"
        raise InvalidRequest(f"there is no kind {kind!r} to show", hint)
    return _found(session, kind)


def models(session: Session) -> Listing:
    """The models of the current stack, aliases first."""
    opened = session.opened()
    found = session.run(lambda _: opened.models())
    aliases = opened.config.aliases if opened.config else {}
    rows = [[m.identifier, aliases.get(m.identifier, ""), m.provider_id, m.model_type] for m in found]
    rows.sort(key=lambda row: (not row[1], row[0]))
    say = f"{count(len(rows), 'model')} in {opened.name}." if rows else f"{opened.name} has no model."
    steps = [('%stack ask NAME "hi"', "asks one")] if rows else [("%stack help models", "how to get one")]
    return Listing("models", ["id", "alias of", "provider", "kind"], rows, say, steps)


def providers(session: Session) -> Listing:
    """The providers of the current stack with their health."""
    opened = session.opened()
    lines = health.provider_lines(session, opened)
    rows = [[p.api, p.provider_id, p.provider_type, p.status, p.message or "", p.fix or ""] for p in lines]
    columns = ["api", "provider", "type", "status", "message", "fix"]
    return Listing("providers", columns, rows, verdict(lines))


def chats(session: Session) -> Listing:
    """The named conversations."""
    rows = [[name, chat.turns, chat.system or ""] for name, chat in sorted(session.chats.items())]
    say = f"{count(len(rows), 'chat')}." if rows else "No chat has begun."
    step = ('%stack ask -c trip "…"', "begins or goes on with the chat trip")
    return Listing("chats", ["chat", "turns", "instructions"], rows, say, [step])


def stacks(session: Session) -> Listing:
    """What is open, and what can be opened."""
    from llama_magics.verbs.use import choices

    return choices(session)


def apis(session: Session) -> Listing:
    """The methods that `call` takes."""
    from llama_magics.verbs.call import methods

    return methods()


def _model(session: Session, name: str) -> Value:
    opened = session.opened()
    return Value(f"model {name}", session.run(lambda _: opened.stack.models.get_model(name)))


def _provider(session: Session, name: str) -> Value:
    opened = session.opened()
    return Value(f"provider {name}", session.run(lambda _: opened.stack.providers.inspect_provider(name)))


def _chat(session: Session, name: str) -> Listing:
    if name not in session.chats:
        raise NotFound("chat", name, session.chats)
    chat = session.chats[name]
    rows = [["system", chat.system]] if chat.system else []
    rows += [[message["role"], _text(message["content"])] for message in chat.messages]
    return Listing(f"chat {name}", ["who", "said"], rows, f"{count(chat.turns, 'turn')}.")


def _stack(session: Session, name: str) -> Value:
    if name not in session.stacks:
        raise NotFound("stack", name, session.stacks)
    opened = session.stacks[name]
    return Value(f"stack {name}", opened.config.redacted() if opened.config else {"url": opened.location})


def _api(session: Session, name: str) -> Listing:
    from llama_magics.verbs.call import methods

    return methods(name)


def _one(kind: str, session: Session, name: str) -> Value:
    return one(session, kind, name)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text") or f"[{part['type'].removesuffix('_url')}]" for part in content)


def _found(session: Session, name: str) -> Shown:
    """The thing of this name, whatever its kind. The session is looked at before services are asked."""
    if name in session.chats:
        return _chat(session, name)
    if name in session.stacks:
        return _stack(session, name)
    opened = session.opened()
    known = {line.provider_id for line in health.provider_lines(session, opened)}
    if name in known:
        return _provider(session, name)
    try:
        return _model(session, name)
    except NotFound as error:
        if (kept := _kept(session, name)) is not None:
            return kept
        names = dict.fromkeys([*KINDS, *session.chats, *session.stacks, *sorted({*known, *opened.names})])
        raise NotFound("name", name, names) from error


def _kept(session: Session, name: str) -> Value | None:
    """What the stack keeps under this name. An API that nothing serves here keeps nothing."""
    for kind in KEPT:
        with suppress(StackError):
            return one(session, kind, name)
    return None


KINDS: dict[str, Callable[[Session], Listing]] = {
    "models": models,
    "providers": providers,
    "chats": chats,
    "stacks": stacks,
    "apis": apis,
    **{kind: partial(listing, kind=kind) for kind in KEPT},
}
ONE: dict[str, Callable[[Session, str], Shown]] = {
    "models": _model,
    "providers": _provider,
    "chats": _chat,
    "stacks": _stack,
    "apis": _api,
    **{kind: partial(_one, kind) for kind in KEPT},
}
