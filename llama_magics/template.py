"""`{{ expr }}` in a cell's text: a Jinja expression, evaluated in the notebook's namespace.

Only that: no statements, no comments, no filters on blocks. The text is read once, so what is put in is never read
again, and everything that is no template (a single brace, JSON, LaTeX, `{% … %}`) stays as it is.
"""

from __future__ import annotations

import builtins
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from stack_core.errors import InvalidRequest, nearest

Namespace = Mapping[str, Any]
_BUILTINS = (
    "abs all any bool dict divmod enumerate filter float format int len list map max min range repr reversed round set "
    "sorted str sum tuple type zip"
)
_SHELL = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True)
class Slot:
    """A template in a text: where it stands, its expression, and the expression compiled."""

    start: int
    end: int
    expression: str
    evaluate: Callable[..., Any]
    names: frozenset[str]


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    environment.globals = {name: getattr(builtins, name) for name in _BUILTINS.split()}
    return environment


def slots(text: str) -> list[Slot]:
    """The templates in a text, in order.

    Raises:
        InvalidRequest: two braces hold something that is meant as an expression and is none.
    """
    found, at = [], 0
    while (start := text.find("{{", at)) >= 0:
        end = closing(text, start)
        slot = _slot(text, start, end) if end else None
        if slot:
            found.append(slot)
        at = slot.end if slot else start + 1
    return found


def closing(text: str, start: int) -> int:
    """The index after the `}}` that ends the template at `start`; 0 where it has no end, and so is no template."""
    depth: list[str] = []
    quote = ""
    at = start + 2
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in _OPEN:
            depth.append(_CLOSE[_OPEN.index(char)])
        elif char == "}" and not depth:
            return at + 2 if text.startswith("}}", at) else 0
        elif char in _CLOSE and (not depth or depth.pop() != char):
            return 0
        at += 1
    return 0


def render(text: str, namespace: Namespace) -> str:
    """The text with every template replaced by its value as text.

    Raises:
        InvalidRequest: a name is not there (names the nearest), or an expression is not valid.
    """
    return "".join(str(piece) for piece in pieces(text, namespace))


def pieces(text: str, namespace: Namespace) -> Iterator[Any]:
    """The text's literal parts as text and its templates as objects."""
    at = 0
    for slot in slots(text):
        if text[at : slot.start]:
            yield text[at : slot.start]
        yield value(slot, namespace, text)
        at = slot.end
    if text[at:]:
        yield text[at:]


def value(slot: Slot, namespace: Namespace, text: str) -> Any:
    """What the expression of a template gives.

    Raises:
        InvalidRequest: a name or an attribute is not there, or the sandbox forbids it.
    """
    known = {**_environment().globals, **namespace}
    for name in sorted(slot.names - known.keys()):
        close = nearest(name, [n for n in namespace if not n.startswith("_") and n not in _SHELL]) if name[1:] else []
        hint = f"did you mean {' or '.join(close)}?" if close else "Names come from the notebook."
        raise InvalidRequest(f"{_place(text, slot)}: no name {name!r} in this notebook", f"{hint} Nothing was sent.")
    try:
        found = slot.evaluate(**{name: known[name] for name in slot.names})
        if isinstance(found, StrictUndefined):
            str(found)
    except (UndefinedError, SecurityError) as error:
        raise InvalidRequest(f"{_place(text, slot)}: {error.message}", "Nothing was sent.") from error
    except Exception as error:  # what a notebook's own objects raise can be anything
        raise InvalidRequest(f"{_place(text, slot)}: {type(error).__name__}: {error}", "Nothing was sent.") from error
    return found


def objects(text: str, namespace: Namespace, read: Callable[[str], Any]) -> Any:
    """Plain data from a text such as YAML: a value that is only a template becomes the object itself, and a template
    inside other text is put in as text. `read` parses the text; what is put in is not parsed."""
    found = slots(text)
    if not found:
        return read(text)
    mark = f"slot{secrets.token_hex(6)}x"
    held = {f"{mark}{i}x": value(slot, namespace, text) for i, slot in enumerate(found)}
    out, at = [], 0
    for name, slot in zip(held, found, strict=True):
        out += [text[at : slot.start], name]
        at = slot.end
    return _filled(read("".join([*out, text[at:]])), held)


def _filled(data: Any, held: Mapping[str, Any]) -> Any:
    if isinstance(data, dict):
        return {_filled(key, held): _filled(item, held) for key, item in data.items()}
    if isinstance(data, list):
        return [_filled(item, held) for item in data]
    if not isinstance(data, str):
        return data
    if data in held:
        return held[data]
    for name, found in held.items():
        data = data.replace(name, str(found)) if name in data else data
    return data


def _slot(text: str, start: int, end: int) -> Slot | None:
    """The template at `start`; None where what stands there is text, such as `{{}}` or LaTeX's `{{\\bf x}}`."""
    expression = text[start + 2 : end - 2]
    if not expression.strip() or "\\" in expression.partition('"')[0].partition("'")[0]:
        return None
    environment = _environment()
    try:
        parsed = environment.parse(f"{{{{ {expression} }}}}")
        evaluate = environment.compile_expression(expression, undefined_to_none=False)
    except TemplateSyntaxError as error:
        if text.startswith("{{{", start):
            return None
        raise InvalidRequest(
            f"line {text.count(chr(10), 0, start) + 1}: {text[start:end]!r} is not a valid template: {error.message}",
            _hint(str(error.message)),
        ) from error
    names = frozenset(meta.find_undeclared_variables(parsed)) | _used(environment, expression)
    return Slot(start, end, expression.strip(), evaluate, names)


def _hint(message: str) -> str:
    """What to do about an expression that is not valid: the nearest filter where one is unknown."""
    unknown = re.match(r"No (filter|test) named '(\w+)'", message)
    if unknown is None:
        return "a template is one expression, {{ name }}; --raw sends the text as it is"
    known = _environment().filters if unknown[1] == "filter" else _environment().tests
    close = nearest(unknown[2], [name for name in known if name.isidentifier()])
    return f"did you mean {' or '.join(close)}?" if close else "Jinja's own filters are there, no others"


def _used(environment: SandboxedEnvironment, expression: str) -> frozenset[str]:
    """The names of builtins that an expression uses: Jinja declares its globals, and so does not list them."""
    bare = environment.parse(f"{{{{ {expression} }}}}")
    from jinja2 import nodes

    return frozenset(node.name for node in bare.find_all(nodes.Name) if node.ctx == "load") & environment.globals.keys()


def _place(text: str, slot: Slot) -> str:
    line = text.count("\n", 0, slot.start) + 1
    return f"line {line}: {{{{ {slot.expression} }}}}"
