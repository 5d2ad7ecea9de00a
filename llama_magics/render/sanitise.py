"""Model text as HTML: Markdown without raw HTML, then an allow-list.

The text is untrusted: it is checked twice and never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from llama_magics.render import maths

_TAGS = frozenset(
    "p span strong em s code pre ul ol li blockquote hr br a div table thead tbody tr th td".split()  # noqa: SIM905  # reads better
)
_SET = "mathjax_process tex2jax_process"
_SCHEMES = ("http://", "https://", "mailto:")
_REGION = {"tabindex": {"0"}, "role": {"group"}, "aria-label": {"table", "code"}}
_VALUES: dict[str, dict[str, set[str]]] = {
    "div": _REGION,
    "pre": _REGION,
    "th": {"scope": {"col"}, "align": {"left", "right", "center"}},
    "td": {"align": {"left", "right", "center"}},
}


def prose(text: str) -> str:
    """Markdown as sanitised HTML: no scripts, no styles, no images, no headings, links only to the web and mail."""
    return nh3.clean(
        str(_parser().render(text)),
        tags=set(_TAGS),
        clean_content_tags={"script", "style"},
        attributes={"a": {"href"}, "ol": {"start"}},
        tag_attribute_values=_VALUES,
        allowed_classes={
            "table": {"lsv-t"},
            "div": {"lsv-wide"},
            "p": {"lsv-h"},
            "span": set(_SET.split()),
            "th": {"lsv-num"},
            "td": {"lsv-num"},
        },
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Drop links inside the host (relative ones), which would open the server's own pages."""
    if tag == "a" and name == "href":
        return value if value.lower().startswith(_SCHEMES) else None
    if name == "start":
        return value if value.isdigit() else None
    return value


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}, renderer_cls=_Prose)
    parser.enable(["table", "strikethrough"])
    maths.enable(parser)
    return parser


class _Prose(RendererHTML):
    """Tokens as the elements of the views; each method is the rule of the token type it is named after."""

    def maths(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A formula, for the host to set: the classes end what `elements.PLAIN_DOLLARS` began."""
        return f'<span class="{_SET}">{escape(maths.defused(tokens[idx].content))}</span>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        content = escape(tokens[idx].content.rstrip("\n"))
        return f'<pre tabindex="0" role="group" aria-label="code"><code>{content}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return self.fence(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """An image is not loaded: that would tell its host who reads the notebook. Its words and its address stay."""
        token = tokens[idx]
        words, source = escape(token.content or "image"), str(token.attrs.get("src", ""))
        if source.lower().startswith(_SCHEMES):
            return f'<a href="{escape(source)}">{words}</a> (image, not loaded)'
        return f"{words} (image, not loaded)"

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """A paragraph in bold: the headings of a notebook are its author's, and hosts list them."""
        return '<p class="lsv-h"><strong>'

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</strong></p>\n"

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="lsv-wide" tabindex="0" role="group" aria-label="table"><table class="lsv-t">\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<th scope="col"{_align(tokens[idx])}>'

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<td{_align(tokens[idx])}>"


def _align(token: Token) -> str:
    """The side that the table's ruler names, also as the attribute that survives where styles do not."""
    side = str(token.attrs.get("style", "")).removeprefix("text-align:")
    number = ' class="lsv-num"' if side == "right" else ""
    return f'{number} align="{side}"' if side else ""
