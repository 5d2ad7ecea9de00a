"""How the line of a cell is read: words, quotes, templates, and the options that are the same for every verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stack_core.errors import InvalidRequest, nearest

FORMATS = ("markdown", "text", "json", "html", "code")


@dataclass(frozen=True)
class Option:
    """One option. `many`: it may be given several times. A switch takes no value."""

    name: str
    short: str | None = None
    switch: bool = False
    many: bool = False
    help: str = ""


OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("model", "m", help="alias or model id"),
        Option("system", "s", help="instructions for the model"),
        Option("out", "o", help="bind the result to this variable"),
        Option("quiet", "q", switch=True, help="bind the result, show nothing"),
        Option("format", "f", help="show one form: " + ", ".join(FORMATS)),
        Option("chat", "c", help="name of a conversation that remembers"),
        Option("reset", switch=True, help="forget what there was before"),
        Option("param", "p", many=True, help="sampling parameter, key=value"),
        Option("attach", "a", many=True, help="image or text file"),
        Option("schema", help='typed answer: "title, year int", a JSON Schema, or a Pydantic class'),
        Option("raw", switch=True, help="no templates"),
        Option("insert", "i", switch=True, help="put the code into a new cell"),
    )
}
ALWAYS = ("out", "quiet", "format")
LATER = {
    "tool": "T",
    "each": None,
    "shield": None,
    "approve": None,
    "max-steps": None,
    "repeat": None,
    "workers": None,
    "on": None,
    "background": None,
}
"""Options of the language that this version does not have yet."""


@dataclass(frozen=True)
class Word:
    """A word of the line without its quotes, and whether it began with one."""

    text: str
    quoted: bool = False


@dataclass
class Line:
    """A line that has been read: its verb, its positional words, its options, and whether a `;` ended it."""

    verb: str = ""
    words: list[Word] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    silent: bool = False


def words_of(line: str) -> list[Word]:
    """Split at spaces as a shell does: quotes hold together, a backslash escapes a quote or a space, and braces that
    stand outside quotes hold together too, as `{{ … }}` does everywhere.

    Raises:
        InvalidRequest: a quote is not closed.
    """
    out: list[Word] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        text, quoted, at = _word(line, at)
        out.append(Word(text, quoted))
    return out


def read(tokens: Sequence[Word], verb: str, accepted: Sequence[str]) -> Line:
    """Options and positional words of a verb that accepts the named options.

    Raises:
        InvalidRequest: an option is unknown, has no value, or is given twice; names the nearest.
    """
    out = Line(verb)
    known = {name: OPTIONS[name] for name in (*accepted, *ALWAYS)}
    rest = iter(tokens)
    for word in rest:
        if word.quoted or len(word.text) < 2 or not word.text.startswith("-") or _is_number(word.text):
            out.words.append(word)
        elif word.text == "--":
            out.words += list(rest)
        else:
            _take(out, word.text, rest, known)
    _check_format(out.options.get("format"))
    return out


def _take(out: Line, text: str, rest: Iterator[Word], known: Mapping[str, Option]) -> None:
    option, given = _option(text, known, out.verb)
    if option.switch:
        if given is not None:
            raise InvalidRequest(f"--{option.name} takes no value")
        out.options[option.name] = True
        return
    if given is None:
        word = next(rest, None)
        if word is None:
            raise InvalidRequest(f"{text} needs a value: {option.help}")
        given = word.text
    if option.many:
        out.options.setdefault(option.name, []).append(given)
    elif option.name in out.options:
        raise InvalidRequest(f"{text} is given twice")
    else:
        out.options[option.name] = given


def _option(text: str, known: Mapping[str, Option], verb: str) -> tuple[Option, str | None]:
    """The option that a word such as `--model`, `--model=x`, `-m` or `-mx` means, and the value in the word itself."""
    by_short = {option.short: option for option in known.values() if option.short}
    if text.startswith("--"):
        name, equals, value = text[2:].partition("=")
        if name in known:
            return known[name], value if equals else None
    else:
        option = by_short.get(text[1])
        if option and (len(text) == 2 or not option.switch):
            return option, text[2:].removeprefix("=") or None
        name = text[1:]
    raise _unknown(text, name, verb, known)


def _unknown(text: str, name: str, verb: str, known: Mapping[str, Option]) -> InvalidRequest:
    what = f"%stack {verb}".rstrip()
    if name in OPTIONS:
        return InvalidRequest(f"{what} has no option --{name}", _list(known))
    if name in LATER or name in LATER.values():
        return InvalidRequest(f"{what}: the option {text.partition('=')[0]} is not in this version", _list(known))
    close = nearest(name, known) if len(name) > 1 else []
    hint = f"did you mean {' or '.join('--' + n for n in close)}?" if close else _list(known)
    return InvalidRequest(f"{what}: unknown option {text.partition('=')[0]}", hint)


def _list(known: Mapping[str, Option]) -> str:
    return "options: " + ", ".join(f"-{o.short}/--{o.name}" if o.short else f"--{o.name}" for o in known.values())


def _check_format(given: str | None) -> None:
    if given is not None and given not in FORMATS:
        close = nearest(given, FORMATS)
        hint = f"did you mean {close[0]}?" if close else f"formats: {', '.join(FORMATS)}"
        raise InvalidRequest(f"unknown format {given!r}", hint)


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdigit()


def _word(line: str, at: int) -> tuple[str, bool, int]:
    """The word at `at`: (text, whether it began with a quote, index after it)."""
    from llama_magics.template import closing

    quoted = line[at] in "'\""
    out: list[str] = []
    quote, depth, begun = "", 0, at
    while at < len(line):
        char = line[at]
        if line.startswith("{{", at) and (end := closing(line, at)):
            out.append(line[at:end])
            at = end
            continue
        if quote:
            if char == "\\" and line[at + 1 : at + 2] in (quote, "\\"):
                at += 1
                char = line[at]
            elif char == quote:
                if depth:
                    out.append(char)
                quote, at = "", at + 1
                continue
        elif char in "'\"" and _opens(line, at, begun, depth):
            if depth:
                out.append(char)
            quote, at = char, at + 1
            continue
        elif char.isspace() and not depth:
            break
        else:
            depth = _depth(line, at, depth)
        out.append(char)
        at += 1
    if quote:
        raise InvalidRequest(f"the quote {quote} is not closed in: {line[begun:].strip()}")
    return "".join(out), quoted, at


def _opens(line: str, at: int, begun: int, depth: int) -> bool:
    """Whether a quote sign opens a quotation: an apostrophe inside a word does not (`don't`)."""
    return bool(depth) or line[at] == '"' or at == begun or not line[at - 1].isalnum()


def _depth(line: str, at: int, depth: int) -> int:
    """How many braces and brackets are open after the character at `at`; one that never closes opens nothing."""
    if line[at] in "{[":
        return depth + 1 if ("}" if line[at] == "{" else "]") in line[at:] else depth
    return depth - 1 if line[at] in "}]" and depth else depth
