"""The verbs, in one table: name, body, options, one line of help. A verb's module is imported at its first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from stack_core.errors import InvalidRequest, nearest

if TYPE_CHECKING:
    from llama_magics.cell import Cell
    from llama_magics.results import Shown


@dataclass(frozen=True)
class Verb:
    """A word of the language, and what may stand with it."""

    name: str
    module: str
    usage: str
    help: str
    options: tuple[str, ...] = ()
    body: str | None = None
    """What the body holds, in words; None where the verb takes none."""
    most_words: int | None = None
    """The most positional words; None where the verb looks itself."""

    def run(self, cell: Cell) -> Shown | None:
        """Carry out the cell."""
        found: Callable[[Cell], Shown | None] = import_module(f"llama_magics.verbs.{self.module}").run
        return found(cell)


_ASK = ("model", "system", "chat", "reset", "param", "attach", "schema", "raw")
_TABLE = (
    Verb("", "status", "%stack", "one card: what is open, what answers, what to do next", most_words=0),
    Verb("", "declare", "%%stack", "declare a stack: a run file or its short form", body="YAML", most_words=0),
    Verb(
        "ask",
        "ask",
        '%stack ask [TARGET] "TEXT"',
        "ask a model; `a,b` asks both, side by side",
        _ASK,
        body="text, the question",
    ),
    Verb(
        "use",
        "use",
        "%stack use [NAME|FILE|URL]",
        "use a distribution, a file, a server or an open stack",
        most_words=1,
    ),
    Verb(
        "show",
        "show",
        "%stack show [models|providers|chats|stacks|apis] [NAME]",
        "list what there is, or show one thing",
        most_words=2,
    ),
    Verb("call", "call", "%stack call API.METHOD name=value…", "call any method of any API", ("raw",)),
    Verb("trace", "trace", "%stack trace [ID]", "the last calls, or the spans of one", most_words=1),
    Verb("key", "key", "%stack key NAME", "store a key without showing it", ("reset",)),
    Verb("pull", "pull", "%stack pull MODEL", "fetch a model's weights", most_words=1),
    Verb("code", "code", "%stack code [-n]", "the Python that does what a cell did", ("insert",), most_words=1),
    Verb("doctor", "doctor", "%stack doctor", "check versions, providers, keys, disk and ports", most_words=0),
    Verb("help", "help", "%stack help [VERB]", "how to use a verb", most_words=1),
)
VERBS: dict[str, Verb] = {verb.name: verb for verb in _TABLE if verb.name}
STATUS, DECLARE = (verb for verb in _TABLE if not verb.name)
LATER = (
    "agent",
    "tool",
    "docs",
    "shield",
    "eval",
    "train",
    "synth",
    "prompt",
    "chat",
    "cost",
    "jobs",
    "tape",
    "batch",
    "serve",
    "export",
)
"""Verbs of the language that this version does not have."""


def find(name: str, *, cell: bool) -> Verb:
    """The verb that a line begins with.

    Raises:
        InvalidRequest: no such verb, or it cannot stand there; says which there are.
    """
    if not name:
        return DECLARE if cell else STATUS
    if name in LATER:
        raise InvalidRequest(f"the verb {name!r} is not in this version", f"verbs: {', '.join(VERBS)}")
    if name not in VERBS:
        close = nearest(name, VERBS)
        hint = f"did you mean {' or '.join(close)}?" if close else f"verbs: {', '.join(VERBS)}"
        raise InvalidRequest(f"unknown verb {name!r}", f'{hint} To ask a model: %stack ask "…"')
    verb = VERBS[name]
    if cell and verb.body is None:
        raise InvalidRequest(f"{name} takes no body", f"write it as one line: {verb.usage}")
    return verb
