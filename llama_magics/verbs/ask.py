"""`ask`: one question to a model, streamed; several models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_magics import asking, attach, showing, source, template
from llama_magics.asking import Outcome, Question
from llama_magics.render.stream import LiveAnswer, LiveComparison
from llama_magics.reply import Reply
from llama_magics.results import Answer, Comparison, Listing, Shown
from llama_magics.schema import schema_of
from llama_magics.session import Session
from stack_core.errors import InvalidRequest
from stack_core.yaml_text import read_yaml

if TYPE_CHECKING:
    from llama_magics.cell import Cell


def run(cell: Cell) -> Shown | None:
    """Ask, show the answer as it comes, and keep what came even where it ended badly."""
    target, written = _parts(cell)
    options = cell.line.options
    if not written.strip():
        if options.get("reset") and options.get("chat") and cell.body is None:
            return forget(cell.session, str(cell.option("chat")))
        raise _no_text()
    text = cell.text(written) if cell.body is None else _body(cell, written)
    given = {name: cell.option(name) for name in ("system", "chat", "reset", "attach")}
    given["schema"], given["params"] = cell.option("schema"), params_of(cell.option("param") or [])
    code = _code(cell, target, written, given)
    outcome = ask(cell.session, text, target, namespace=cell.namespace, code=code, view=_Screen(cell), **given)
    cell.shown = not cell.form and not cell.quiet
    cell.error = outcome.error
    return outcome.result


def ask(
    session: Session,
    text: str,
    target: str | Sequence[str] | None = None,
    *,
    system: str | None = None,
    chat: str | None = None,
    reset: bool | None = False,
    attach: str | Path | Sequence[str | Path] | None = None,
    schema: Any = None,
    params: Mapping[str, Any] | None = None,
    namespace: Mapping[str, Any] | None = None,
    code: str = "",
    view: asking.View | None = None,
) -> Outcome:
    """What the cell and the Python twin share: the question from its parts, and its answer."""
    if not isinstance(text, str) or not text.strip():
        raise _no_text()
    if not isinstance(target, str | Sequence | None) or not all(isinstance(name, str) for name in target or ()):
        raise InvalidRequest(f"a model is a name or a list of names, not {target!r}", "such as fast, or [fast, smart]")
    names = target.split(",") if isinstance(target, str) else list(target or ())
    attach = [attach] if isinstance(attach, str | Path) else attach
    question = Question(
        content=_content(text, attach or (), session),
        models=[name.strip() for name in names if name.strip()],
        system=None if system is None else str(system),
        schema=None if schema is None else schema_of(schema, namespace or session.namespace, session.folder),
        chat=chat,
        reset=bool(reset),
        params=dict(params or {}),
        code=code,
    )
    return asking.ask(session, question, view)


def _no_text() -> InvalidRequest:
    return InvalidRequest("ask takes a text, the question, and there is none", 'such as %stack ask "hi"')


def forget(session: Session, chat: str) -> Listing:
    """Forget a conversation."""
    from llama_magics.verbs.show import chats

    session.chats.pop(chat, None)
    listing = chats(session)
    listing.say = f"The chat {chat} is forgotten. {listing.say}"
    listing.code = source.call("ask", chat=chat, reset=True)
    return listing


def params_of(pairs: Sequence[str]) -> dict[str, Any]:
    """`["temperature=0", "stop=[a, b]"]` as values; they are read as YAML."""
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidRequest(f"-p {pair}: not key=value", "such as -p temperature=0")
        out[name.strip()] = read_yaml(value, f"-p {name}")
    return out


def _content(text: str, files: Sequence[str | Path], session: Session) -> str | list[dict[str, Any]]:
    return attach.content(text, files, session.folder)


def _parts(cell: Cell) -> tuple[str | None, str]:
    """The target and the question as it was written. On a line the question is the last quoted word, or all words where
    none of them names a model; in a cell it is the body."""
    words, model = cell.line.words, cell.option("model")
    if cell.body is not None:
        if len(words) > 1 or (words and words[0].quoted):
            raise InvalidRequest("the question is the cell's body", "the line holds one TARGET and options")
        target, text = (cell.text(words[0].text) if words else None), cell.body.strip("\n")
    elif len(words) == 2 and words[1].quoted and not words[0].quoted:
        target, text = cell.text(words[0].text), words[1].text
    elif words and not words[0].quoted and _names_models(cell, words[0].text):
        target, text = cell.text(words[0].text), " ".join(word.text for word in words[1:])
    else:
        target, text = None, " ".join(word.text for word in words)
    if target and model and target != model:
        raise InvalidRequest(f"two models are named: {target} and -m {model}", "name one, or ask both: a,b")
    return target or model, text


def _names_models(cell: Cell, word: str) -> bool:
    """Whether a word, or each part of `a,b`, is a model that the session has seen."""
    opened = cell.session.stacks.get(cell.session.current or "")
    known = opened.names if opened else set()
    return all(part.strip() in known for part in cell.text(word).split(","))


def _body(cell: Cell, written: str) -> str:
    """The question with its templates put in; lines in errors count the cell's own first line, as its editor does."""
    return written if cell.raw else template.render(f"\n{written}", cell.namespace)[1:]


def _code(cell: Cell, target: str | None, written: str, given: Mapping[str, Any]) -> str:
    """The Python twin of the cell."""
    options = cell.line.options
    system = options.get("system")
    schema = options.get("schema")
    named = isinstance(schema, str) and schema.isidentifier() and isinstance(cell.namespace.get(schema), type | dict)
    return source.call(
        "ask",
        cell.twin(written) if cell.body is None else source.text(written, cell.raw),
        *([target] if target else []),
        out=options.get("out"),
        system=None if system is None else cell.twin(system),
        schema=None if schema is None else source.Source(schema) if named else _schema_code(cell, schema),
        chat=given["chat"],
        reset=given["reset"],
        params=dict(given["params"]) or None,
        attach=[str(file) for file in given["attach"]] if given["attach"] else None,
    )


def _schema_code(cell: Cell, written: str) -> Any:
    slots = [] if cell.raw else template.slots(written)
    return source.Source(slots[0].expression) if slots else written


class _Screen:
    """The cell's output while the answers grow."""

    def __init__(self, cell: Cell) -> None:
        self._shell = cell.shell
        self._out = cell.option("out")
        self._hidden = cell.quiet or bool(cell.form)
        self._live = cell.magics.live
        self._names: list[str] = []
        self._screen: LiveAnswer | LiveComparison | None = None

    def start(self, models: Sequence[str]) -> None:
        """Open the output."""
        self._names = list(models)
        hidden = self._hidden or not self._live
        if len(models) == 1:
            self._screen = LiveAnswer(self._shell, models[0], quiet=hidden)
        else:
            self._screen = LiveComparison(self._shell, models, quiet=hidden)

    def feed(self, index: int, text: str, reasoning: str, reply: Reply) -> None:
        """Pass on what came."""
        screen = self._screen
        if isinstance(screen, LiveComparison):
            if reasoning:
                screen.reasoning(index, reasoning)
            if text:
                screen.feed(index, text)
        elif screen is not None:
            if reasoning:
                screen.reasoning(reasoning)
            if text:
                screen.feed(text)

    def finish(self, result: Answer | Comparison) -> None:
        """Put the final output in the stream's place; an error with nothing before it stands alone."""
        if self._screen is None:
            return
        result.bound = str(self._out) if self._out is not None else None
        final: Shown = result
        if isinstance(result, Answer) and result.error is not None and not result.text:
            if not showing.rich(self._shell):
                return  # a terminal shows the error in the traceback's place
            final = result.error
        if self._live or self._hidden:
            self._screen.finish(final)
        else:
            showing.show(final, "")
