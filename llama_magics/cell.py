"""From a cell to its result: read the line, find the verb, do it, show and keep what it gives.

Errors leave the cell as they are, so that a notebook run stops; only their display is short (`faults.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from keyword import iskeyword
from string import Formatter
from typing import TYPE_CHECKING, Any

from IPython.utils.text import DollarFormatter

from llama_magics import faults, showing, source, template
from llama_magics.options import Line, Word, read, words_of
from llama_magics.results import Shown
from llama_magics.session import Session, session
from llama_magics.verbs import Verb, find
from stack_core.errors import ConfigError, InvalidRequest, StackError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llama_magics.magics import StackMagics

_FAR = 1 << 20
"""A stack depth that no frame has: the shell's expansion then uses the notebook's names and those given to it."""


@dataclass
class Cell:
    """One use of `%stack` or `%%stack`: what was written, where it runs, and what came of it."""

    magics: StackMagics
    session: Session
    verb: Verb
    line: Line
    body: str | None
    local: Mapping[str, Any] = field(default_factory=dict)
    shown: bool = False
    """The verb has shown its result itself, while it grew."""
    error: BaseException | None = None
    """What went wrong after there was a result to keep; raised when it is kept."""

    @property
    def shell(self) -> InteractiveShell:
        """The shell that runs the cell."""
        assert self.magics.shell is not None
        return self.magics.shell

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's names, and those of the function that the magic stands in."""
        return {**self.session.namespace, **self.local}

    @property
    def raw(self) -> bool:
        """Whether templates stay as they are."""
        return bool(self.line.options.get("raw"))

    @property
    def form(self) -> str:
        """The one form to show, or empty for all."""
        return str(self.line.options.get("format") or self.magics.format)

    @property
    def quiet(self) -> bool:
        """Whether nothing is shown."""
        return bool(self.line.options.get("quiet")) or self.line.silent

    def words(self) -> list[str]:
        """The positional words, with `{…}`, `$name` and templates put in."""
        return [self.text(word.text) for word in self.line.words]

    def option(self, name: str) -> Any:
        """An option's value with `{…}`, `$name` and templates put in; one lone template gives the object."""
        given = self.line.options.get(name)
        if isinstance(given, list):
            return [self.value(item) for item in given]
        return self.value(given) if isinstance(given, str) else given

    def text(self, written: str) -> str:
        """A part of the line as text. What is put in is not looked at again."""
        return "".join(map(str, self._pieces(written)))

    def value(self, written: str) -> Any:
        """A part of the line: the object where it is one lone template, else text."""
        found = list(self._pieces(written))
        return found[0] if len(found) == 1 else "".join(map(str, found))

    def twin(self, written: str) -> Any:
        """A part of the line in the Python twin: templates stay templates, what IPython put in is written out."""
        found = [] if self.raw else template.slots(written)
        edges = [0, *(at for slot in found for at in (slot.start, slot.end)), len(written)]
        parts = [written[a:b] for a, b in pairwise(edges)]
        plain = [self._expand(part) for part in parts[::2]]
        if not found or plain == parts[::2]:
            return source.text(written, self.raw) if found else plain[0]
        parts[::2] = plain
        written_out = [
            source.literal(source.text(part, raw=False) if number % 2 else part)
            for number, part in enumerate(parts)
            if part
        ]
        return source.Source(" + ".join(written_out))

    def _pieces(self, written: str) -> Iterator[Any]:
        at = 0
        for slot in [] if self.raw else template.slots(written):
            if slot.start > at:
                yield self._expand(written[at : slot.start])
            yield template.value(slot, self.namespace, written)
            at = slot.end
        if at < len(written):
            yield self._expand(written[at:])

    def _expand(self, written: str) -> str:
        if "{" not in written and "$" not in written:
            return written
        if self.raw and "{{" in written:
            return written  # IPython would make one brace of two
        names = _Names(self.local)
        expanded: str = self.shell.var_expand(written, depth=_FAR, formatter=names)  # type: ignore[no-untyped-call]  # IPython
        return expanded


class _Names(DollarFormatter):
    """IPython's expansion of a line, with names of its own besides the notebook's. A quoted key is JSON, not a name."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def vformat(self, format_string: str, args: Any, kwargs: Any) -> str:
        return super().vformat(format_string, args, {**kwargs, **self._names})

    def parse(self, fmt_string: str) -> Iterator[tuple[Any, Any, Any, Any]]:
        if any(name and name.lstrip()[:1] in ("'", '"', "{", "[") for _, name, _, _ in Formatter().parse(fmt_string)):
            yield fmt_string, None, None, None
        else:
            yield from super().parse(fmt_string)


def run(magics: StackMagics, line: str, body: str | None, local: Mapping[str, Any]) -> Shown | None:
    """Carry out one cell or line; gives the result object, which is shown already.

    Raises:
        StackError: what went wrong; its display is a note and two lines instead of a traceback.
    """
    state = session(magics.shell, magics)
    state.keys.refresh()
    showing.scrub_with(state.keys)
    cell: Cell | None = None
    try:
        cell = _read(magics, state, line, body, local)
        result = cell.verb.run(cell)
        if result is not None:
            _keep(cell, result)
        if cell.error is not None:
            raise cell.error
    except (StackError, KeyboardInterrupt) as error:
        noted = cell is not None and cell.error is error and cell.shown
        faults.shorten(error, magics, state, noted=noted)
        raise
    return result


def _read(magics: StackMagics, state: Session, line: str, body: str | None, local: Mapping[str, Any]) -> Cell:
    if magics.project_fault:
        raise ConfigError(magics.project_fault, "mend the file, then load the extension again")
    silent = line.rstrip().endswith(";")
    tokens = words_of(line.rstrip().removesuffix(";") if silent else line)
    name = "" if not tokens or tokens[0].text.startswith("-") else tokens[0].text
    verb = find(name, cell=body is not None)
    read_line = read(tokens[1:] if name else tokens, verb.name, verb.options)
    if body is not None and body.rstrip().rpartition("\n")[2].strip() == ";":
        silent, body = True, body.rstrip().removesuffix(";")
    read_line.silent = silent
    cell = Cell(magics, state, verb, read_line, body, local)
    _check_words(verb, read_line.words)
    if (out := read_line.options.get("out")) is not None and not _is_name(cell.text(out)):
        raise InvalidRequest(f"-o {out}: not a variable's name", "such as -o answer")
    return cell


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def _check_words(verb: Verb, words: list[Word]) -> None:
    if verb.most_words is not None and len(words) > verb.most_words:
        raise InvalidRequest(
            f"%stack {verb.name}: {words[verb.most_words].text!r} is one word too many", f"usage: {verb.usage}"
        )


def _keep(cell: Cell, result: Shown) -> None:
    """Show the result where the cell has not done so, bind it, and remember its Python twin."""
    code = getattr(result, "code", "")
    if code:
        cell.session.remember(code)
    if (out := cell.option("out")) is not None:
        cell.shell.user_ns[str(out)] = result
        if hasattr(result, "bound"):
            result.bound = str(out)
    if not cell.quiet and not cell.shown:
        showing.show(result, cell.form)
    if cell.error is not None:
        hook: Any = cell.shell.displayhook
        hook.update_user_ns(result)  # `_` has what came before the error
    showing.shown_already(cell.shell, result)
