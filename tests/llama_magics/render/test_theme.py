"""The style of a view: small, nested under the view, the same rules as its sources."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from llama_magics.render.theme import minified, style

CSS = files("llama_magics.render") / "css"
VIEWS = ("ask", "prose", "error", "declare", "providers", "status", "list")


def test_minified_rules_keep_what_means_something() -> None:
    source = (
        "/* a */\n.a  > b , c:hover {\n  color : red;  font: 1px/2 'A  B';\n  & :is(p) { margin: calc(1px + 2px) }\n}\n"
    )
    assert minified(source) == ".a > b,c:hover{color :red;font:1px/2 'A B';& :is(p){margin:calc(1px + 2px)}}"


@pytest.mark.parametrize("view", VIEWS)
def test_rules_of_a_view_are_nested_under_it(view: str) -> None:
    text = re.sub(r"/\*.*?\*/", "", (CSS / f"{view}.css").read_text("utf-8"), flags=re.S).strip()
    assert text.startswith(f".lsv.lsv.lsv.lsv-v-{view} {{") and text.endswith("}")
    assert text.count("{") == text.count("}")
    assert "!important" not in text and "prefers-color-scheme" not in text


def test_a_style_is_one_element_of_at_most_12_kb() -> None:
    for views in (("ask", "prose", "error"), ("declare", "providers"), ("status", "providers"), ("list", "prose")):
        element = style(*views)
        assert element.count("<style>") == element.count("</style>") == 1
        assert len(element.encode()) < 12_000
        assert "/*" not in element and "\n" not in element


def test_tokens_and_shared_elements_are_the_designs_own() -> None:
    views = Path(__file__).resolve().parents[4] / "shared" / "views"
    if not views.is_dir():
        pytest.skip("the design's files are not here")
    for name in ("tokens.css", "base.css"):
        assert (CSS / name).read_text("utf-8") == (views / name).read_text("utf-8")
