"""Model text is never run: in HTML by an allow-list, in Markdown because nothing in it can begin a tag."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llama_magics import render
from llama_magics.render.markdown import safe_markdown
from llama_magics.render.sanitise import prose
from llama_magics.results import Answer, ErrorNote, Listing, ToolStep, Value

ALLOWED = set("p span strong em s code pre ul ol li blockquote hr br a div table thead tbody tr th td".split())  # noqa: SIM905  # reads better

CORPUS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](/api/contents)",
    "[x](//evil.example/x)",
    "[x][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](https://e.example/x.png "t\\" onload=\\"alert(1)")',
    "![x][i]\n\n[i]: data:image/svg+xml,<svg/onload=alert(1)>",
    '[x](https://a.example/"onmouseover="alert(1))',
    '```"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```',
    "```html onload=alert(1)\n<b>\n```",
    "`</code><script>alert(1)</script>`",
    "| <script>alert(1)</script> |\n| --- |\n| <img onerror=alert(1) src=x> |",
    "$$<script>alert(1)</script>$$",
    "$<img src=x onerror=alert(1)>$",
    "\\(<script>alert(1)</script>\\)",
    "\\[\n</p><script>alert(1)</script>\n\\]",
    "</style><script>alert(1)</script>",
    "</div></div><script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<form action=https://evil.example><input name=p></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<!--<script>alert(1)</script>-->",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "# <script>alert(1)</script>",
    "\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07",
    "\ud800<script\x00>alert(1)</script>",
]


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def check(html: str, allowed: set[str]) -> None:
    """Nothing but known tags, no handlers, links only to the web and mail."""
    for tag, attributes in Tags(html).seen:
        assert tag in allowed, tag
        assert not any(name.startswith("on") or name in {"src", "srcdoc", "id", "style"} for name in attributes)
        if "href" in attributes:
            assert re.match(r"(?:https?://|mailto:)", attributes["href"] or "", re.I)
            assert attributes["rel"] == "noopener noreferrer"


@pytest.mark.parametrize("text", CORPUS)
def test_prose_runs_nothing(text: str) -> None:
    check(prose(text.encode("utf-8", "replace").decode()), ALLOWED)


@pytest.mark.parametrize("text", CORPUS)
def test_no_field_of_a_result_can_begin_a_tag(text: str) -> None:
    error = ErrorNote(text, text, text, text, text)
    tool = ToolStep(text, text, text)
    frame = Tags(render.bundle(Answer("", "m", error=error, tool_calls=[tool]))["text/html"]).seen
    answer = Answer(
        text,
        text,
        reasoning=text,
        alias=text,
        chat=text,
        bound=text,
        trace=text,
        finish_reason=text,
        tool_calls=[tool],
        error=error,
        state="failed",
    )
    html = render.bundle(answer)["text/html"]
    known = ALLOWED | {tag for tag, _ in frame} | {"details", "summary", "span", "style", "i"}
    assert {tag for tag, _ in Tags(html).seen} <= known
    assert "<script" not in html.lower() and "onerror=alert(1)>" not in html
    for other in (Listing(text, [text, text], [[text, text]], text, [(text, text)]), Value(text, {text: text})):
        html = render.bundle(other)["text/html"]
        assert "<script" not in html.lower() and "<img" not in html and "<svg" not in html


@pytest.mark.parametrize("text", CORPUS)
def test_markdown_begins_no_tag_and_links_to_no_script(text: str) -> None:
    shown = render.bundle(Answer(text, "m"))["text/markdown"]
    assert not re.search(r"<[A-Za-z/!?]", shown)
    assert "![" not in shown
    assert not re.search(r"(?i)\]\(\s*(?:javascript|vbscript|data):", shown)


WORDS = "< > script </ javascript: ]( [ ! ` ``` $ \\( \\) & &lt; &#106; onerror= \" ' | --- https://a.b x \\ <img --"
PIECES = st.sampled_from([*WORDS.split(), "\n", "\t", " ", "    ", "# ", "> ", "- "])
HOSTILE = st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join))


@settings(max_examples=150, deadline=None)
@given(HOSTILE)
def test_any_text_is_safe_html_and_markdown(text: str) -> None:
    shown = render.bundle(Answer(text, "m"))
    html = re.sub(r"<style>.*?</style>", "", shown["text/html"], flags=re.S)
    check(html, ALLOWED | {"span"})
    assert not re.search(r"<[A-Za-z/!?]", shown["text/markdown"])
    assert len(render.bundle(Answer(text, "m"))["text/html"].encode()) < 100_000


@pytest.mark.parametrize(
    "unit", ["[", "![", "*", "`", "$", "\\(", "> ", "- ", "|", "_a", "<", "[a](", "&", "~~", "$$\n"]
)
def test_no_text_takes_long_to_show(unit: str) -> None:
    import time

    start = time.process_time()
    render.bundle(Answer(unit * (10_000 // len(unit)), "m"))
    assert time.process_time() - start < 30, "far beyond what is linear: this text can hang a notebook"


def test_markdown_of_a_model_reads_well() -> None:
    html = prose("# Title\n\n**b** *e* ~~s~~ `c`\n\n| a | n |\n|---|--:|\n| 1 | 2 |\n\n3. x")
    assert '<p class="lsv-h"><strong>Title</strong></p>' in html
    assert "<strong>b</strong> <em>e</em> <s>s</s> <code>c</code>" in html
    assert '<th scope="col">a</th>' in html and '<td class="lsv-num" align="right">2</td>' in html
    assert '<ol start="3">' in html


def test_an_image_is_named_and_linked_but_not_loaded() -> None:
    assert prose("![a cat](https://e.example/c.png)") == (
        '<p><a href="https://e.example/c.png" rel="noopener noreferrer">a cat</a> (image, not loaded)</p>\n'
    )


SET = '<span class="mathjax_process tex2jax_process">'


@pytest.mark.parametrize(
    "formula",
    [
        "$a_1 * b_2 * c$",
        "\\(x_1 * y_1 * z\\)",
        "$$a_1 *b* c$$",
        "$$\na\n- b\n= *c*\n$$",
        "\\[\n# x\n\\]",
        "\\[ a*b*c \\]",
    ],
)
def test_formulas_are_left_for_the_host(formula: str) -> None:
    assert prose(formula) == f"<p>{SET}{formula}</span></p>\n"


def test_prices_are_not_formulas_and_code_is_not_either() -> None:
    assert prose("$5 and *$6* and `$x_1$`") == "<p>$5 and <em>$6</em> and <code>$x_1$</code></p>\n"


def test_formulas_cannot_link() -> None:
    assert (
        prose("$\\href{javascript:alert(1)}{x}$")
        == f"<p>{SET}$\\text{{href}}{{javascript:alert(1)}}{{x}}$</span></p>\n"
    )


def test_safe_markdown_keeps_what_is_harmless() -> None:
    text = "# T\n\n- a < b & c\n\n```python\nx = [1]\n```\n\n[l](https://a.b) *e* $x_1$"
    assert safe_markdown(text) == text


def test_safe_markdown_closes_an_open_fence() -> None:
    assert safe_markdown("```py\nx") == "```py\nx\n```"
    assert safe_markdown("~~~~\nx\n~~~") == "~~~~\nx\n~~~\n~~~~"
    assert safe_markdown("```\nx\n```") == "```\nx\n```"
