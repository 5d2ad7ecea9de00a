"""Python source of the twins that `%stack code` prints."""

from __future__ import annotations

from typing import Any

IMPORT = "from llama_magics import stack"


class Source(str):
    """A piece of Python source, put in as it stands."""

    __slots__ = ()


def call(method: str, *args: Any, out: str | None = None, **kwargs: Any) -> str:
    """`out = stack.method(args…, name=value…)`; keywords that are None or False are left out."""
    given = [literal(arg) for arg in args]
    given += [f"{name}={literal(value)}" for name, value in kwargs.items() if value is not None and value is not False]
    written = f"stack.{method}({', '.join(given)})"
    return f"{out} = {written}" if out else written


def literal(value: Any) -> str:
    """A value as Python source; text of several lines in triple quotes."""
    if isinstance(value, Source):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if not isinstance(value, str):
        return repr(value)
    if "\n" in value and value.replace("\n", "").isprintable():
        body = value.rstrip('"')
        inner = body.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        last = '\\"' * (len(value) - len(body))
        return f'"""{inner}{last}"""'
    single = repr(value)
    return f'"{single[1:-1]}"' if single[0] == "'" and '"' not in single and "\\'" not in single else single


def text(written: str, raw: bool) -> Any:
    """The text of a question or an option: rendered where it has templates."""
    from llama_magics import template

    if raw or not template.slots(written):
        return written
    return Source(f"stack.render({literal(written)})")
