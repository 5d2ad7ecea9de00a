"""Every result makes one bundle that keeps the output contract: forms, size, well-formed and accessible HTML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from llama_magics import render
from llama_magics.render.room import MAX_BYTES
from llama_magics.results import Answer, Comparison, Help, Listing, ProviderLine, Shown, Status, Value
from tests.llama_magics.render.samples import answer, comparison, declared, everything, template_error

VOID = {"br", "hr"}
SCROLLS = re.compile(r"<(?:pre|div)[^>]*class=\"[^\"]*lsv-(?:box|wide|at)\b[^>]*>")


class Tree(HTMLParser):
    """Checks that tags balance, and collects what stands where."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


SAMPLES = everything()


@pytest.fixture(params=SAMPLES, ids=str)
def result(request: pytest.FixtureRequest) -> Shown:
    """Each sample in turn."""
    return SAMPLES[request.param]


def test_a_bundle_has_plain_html_and_vendor_data_as_json(result: Shown) -> None:
    shown = render.bundle(result)
    assert {"text/plain", "text/html", f"application/vnd.llama-stack.{result.kind}.v1+json"} <= set(shown)
    assert ("text/markdown" in shown) == (result.kind in {"answer", "comparison", "code", "help"})
    assert json.loads(json.dumps(shown)) == shown
    assert result._repr_mimebundle_() == shown
    assert repr(result) == shown["text/plain"]


def test_html_is_well_formed_self_contained_and_without_script(result: Shown) -> None:
    html = render.bundle(result)["text/html"]
    tree = Tree(html)
    names = [tag for tag, _ in tree.tags]
    assert names[:2] == ["div", "style"] and names.count("style") == 1
    assert not {"script", "link", "img", "iframe", "svg", "h1", "h2", "h3", "h4", "h5", "h6"} & set(names)
    for tag, attributes in tree.tags:
        assert not any(name.startswith("on") or name == "id" for name in attributes)
        assert tag != "th" or attributes.get("scope") in {"row", "col"}
    assert "url(" not in html and "@import" not in html


def test_boxes_that_scroll_take_the_keyboard_and_marks_have_names(result: Shown) -> None:
    html = render.bundle(result)["text/html"]
    for tag in SCROLLS.findall(html):
        assert 'tabindex="0"' in tag and "aria-label=" in tag
    for tag, attributes in Tree(html).tags:
        if "lsv-mark" in (attributes.get("class") or ""):
            assert attributes.get("aria-label"), tag


def test_words_survive_where_styles_are_stripped() -> None:
    words = "".join(Tree(render.bundle(answer())["text/html"]).words)
    assert "412 → 196 tokens · $0 · 2.9 s" in words
    words = "".join(Tree(render.bundle(declared())["text/html"]).words)
    assert "openai off: OPENAI_API_KEY is not set ·  %stack key openai" in words


def test_the_footer_says_tokens_cost_seconds_and_the_way_to_the_trace() -> None:
    html = render.bundle(answer(cost=0.0013))["text/html"]
    for words in ("412 → 196 tokens", "$0.0013", "2.9 s", "<summary>trace</summary>", "%stack trace 8c41d0aa"):
        assert words in html
    assert "tokens" not in "".join(Tree(render.bundle(answer(usage=None))["text/html"]).words)


def test_money_is_no_formula() -> None:
    html = render.bundle(answer(text="From $5 to $6, and $x_1$."))["text/html"]
    assert html.startswith('<div class="lsv lsv-v-ask lsv-v-prose lsv-v-error mathjax_ignore tex2jax_ignore">')
    assert 'From $5 to $6, and <span class="mathjax_process tex2jax_process">$x_1$</span>.' in html


def test_plain_text_of_an_answer_is_stable() -> None:
    first = render.plain(answer(text="Four.\n", seconds=1.0, trace="a"))
    assert first == render.plain(answer(text="Four.\n", seconds=7.5, trace="b"))
    assert first == "Four.\n\n[fast ollama/llama3.2:3b · 412 → 196 tokens · $0]"


def test_plain_text_of_the_other_kinds() -> None:
    assert render.plain(template_error()) == (
        "InvalidRequest: no name `questoin` in this notebook.\n"
        "    1 │ Translate into French: {{ questoin }}\n"
        "      │                           ^^^^^^^^\n"
        "Fix: Did you mean `question`?\n"
        "Nothing was sent."
    )
    assert render.plain(SAMPLES["report"]) == (
        "doctor: 1 of 3 checks pass; 1 fails and 1 warning.\n"
        "  ✕ ollama: nothing answers at localhost:11434.  →  ollama serve\n"
        "  ! disk: 1.2 GB free.  →  Remove models with `%stack pull --remove`.\n"
        "  ✓ python: 3.11.9"
    )
    assert render.plain(SAMPLES["listing"]) == (
        "models: 2 models; fast answers.\n"
        "model               provider  kind       context\n"
        "------------------  --------  ---------  -------\n"
        "ollama/llama3.2:3b  ollama    llm        131,072\n"
        "all-MiniLM-L6-v2    minilm    embedding\n"
        "%stack pull llama3.2:1b  get another"
    )
    assert render.plain(SAMPLES["declared_unchanged"]) == (
        "stack lab: unchanged · 2 of 5 providers ready, 1 failing, 1 off and 1 not available · default fast"
    )


def test_plain_text_of_a_declared_stack() -> None:
    assert render.plain(declared()).split("\n") == [
        "stack lab: 2 of 5 providers ready, 1 failing, 1 off and 1 not available. fast answers.",
        "  ✓ inference  ollama  3 models",
        "  ○ inference  openai  off: OPENAI_API_KEY is not set  →  %stack key openai",
        "  ✓ vector_io  faiss  ready",
        "  ✕ safety     llama-guard  ollama has no model llama-guard3:1b  →  %stack pull llama-guard3:1b",
        "  ! agents     meta-reference  not available: this version has no such provider",
        "  fast = ollama/llama3.2:3b",
        "  smart = openai/gpt-4o",
        "  + inference openai, alias smart",
        "  ~ budget $0.50 → $1.00",
        "  - vector_io chroma",
        '  %stack ask "hi"  a first answer from fast',
        "  %stack help docs  make a folder searchable",
    ]


def test_states_of_an_answer() -> None:
    shown = {name: "".join(Tree(render.bundle(SAMPLES[name])["text/html"]).words) for name in SAMPLES}
    assert "■ stopped by you" in shown["answer_cancelled"] and "essay.text" in shown["answer_cancelled"]
    assert "RateLimited" in shown["answer_failed"] and "Half an" in shown["answer_failed"]
    assert "ends at max_tokens" in shown["answer_length"]
    assert "tutorial model" in shown["answer_tutorial"] and "%stack help models" in shown["answer_tutorial"]
    assert 'calculator({"expression": "17 * 23"})' in shown["answer_tool"]
    assert "reasoning, 14 characters" in shown["answer_reasoning"]
    assert "titleDuneyear1965tagssand, <b>" in shown["answer_typed"]


def test_each_answer_of_a_comparison_has_its_own_footer() -> None:
    words = "".join(Tree(render.bundle(comparison())["text/html"]).words)
    for figure in ("58 → 44", "58 → 117", "0.90 s", "2.1 s", "$0.0013"):
        assert figure in words
    assert words.index("fast") < words.index("58 → 44") < words.index("smart") < words.index("58 → 117")


LONG = 'A <b> & `c` line of text, "quoted"\\\n' * 2_000


@pytest.mark.parametrize(
    ("result", "place"),
    [
        (Answer(LONG, "m", bound="x"), "x.text"),
        (Answer("short", "m", reasoning=LONG), ".reasoning"),
        (Comparison([Answer(LONG, f"m{i}") for i in range(40)]), ".text"),
        (Listing("t", ["a", "b"], [[i, LONG] for i in range(3_000)]), "3,000 rows"),
        (Value("v", {"deep": [LONG] * 50, "x": {str(i): i for i in range(5_000)}}), ".value"),
        (Value("v", [[[[{str(i): i for i in range(30)}] * 12] * 12] * 12]), "Cut here"),
        (Help("h", LONG), ".markdown"),
        (
            declared(providers=[ProviderLine("inference", f"p{i}", "t", "Error", LONG, LONG) for i in range(500)]),
            "of 500",
        ),
        (Status("s", chats=[LONG] * 3_000), "more"),
        (Answer("{}", "m", value={"k" * 9_000 + str(i): LONG for i in range(900)}), "900 fields"),
    ],
)
def test_an_output_stays_under_the_limit_and_says_what_is_cut(result: Shown, place: str) -> None:
    shown = render.bundle(result)
    assert render.weight(shown) <= MAX_BYTES
    words = "".join(Tree(shown["text/html"]).words)
    assert place in words
    said = re.compile("Cut here|are shown|more")
    assert said.search(words)
    assert said.search(shown["text/plain"]) or place == ".reasoning", "plain text leaves reasoning out"


def test_a_cut_leaves_most_of_the_room_to_the_text() -> None:
    shown = render.bundle(Answer("word " * 100_000, "m"))
    assert render.weight(shown) > MAX_BYTES / 2
    assert shown["application/vnd.llama-stack.answer.v1+json"]["cut"] == [{"path": "text", "of": 500_000}]


def test_a_text_that_fits_is_whole_in_every_form() -> None:
    text = "penguin " * 2_400
    shown = render.bundle(Answer(text, "m"))
    assert all(str(form).count("penguin") == 2_400 for form in shown.values())
