"""The style of the views: tokens, shared elements and a view's own rules, in one minified style element."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def style(*views: str) -> str:
    """The `<style>` element of an output with the rules of the named views (files of `css/`)."""
    sources = (files(__package__) / "css" / f"{name}.css" for name in ("tokens", "base", *views))
    return f"<style>{minified(''.join(source.read_text('utf-8') for source in sources))}</style>"


def minified(css: str) -> str:
    """The same rules without comments and white space that means nothing.

    The space before a colon stays: in a nested rule `& :is(p)` and `&:is(p)` differ.
    """
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    css = re.sub(r"\s+", " ", css)
    css = re.sub(r" ?([{};,]) ?", r"\1", css)
    css = css.replace(": ", ":").replace(";}", "}")
    return css.strip()
