"""Templates: what is one, what is none, and what goes in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llama_magics.template import objects, render
from stack_core.errors import InvalidRequest

plain = st.text().filter(lambda text: "{{" not in text)


@given(plain)
def test_text_without_templates_is_untouched(text: str) -> None:
    assert render(text, {}) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.integers(0, 2))
def test_json_is_untouched(data: Any, indent: int) -> None:
    text = json.dumps(data, indent=indent or None)
    if "{{" not in text:
        assert render(text, {"x": 1}) == text


@pytest.mark.parametrize(
    "text",
    [
        r"$\frac{a}{b}$ and $\int_{0}^{1} x^{n}\,dx$",
        r"{{\bf x}}",
        r"\mathbf{{\alpha}}",
        "{{}} and {{ }}",
        "{1} {x} { {x} }",
        "{% if x %}no{% endif %} {# no comment #} {%- x -%}",
        "the set {{1,2},{3}}",
        "an open {{ brace",
        '{"a":{"b":{"c":1}}}',
        "}} {{",
        "${HOME} $x #{y}",
    ],
)
def test_what_is_no_template_stays(text: str) -> None:
    assert render(text, {"x": 1}) == text


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("{{ x }}", "1"),
        ("{{x}}", "1"),
        ("a{{ x }}b{{ y.z }}c", "a1b2c"),
        ("{{ y['z'] + 1 }}", "3"),
        ('{{ {"a": 5}["a"] }}', "5"),
        ("{{ '}}' }}", "}}"),
        ("{{ words | join(', ') }}", "a, b"),
        ("{{ len(words) }}", "2"),
        ("{{ In[1] }}", "x = 1"),
        ("{{ Out[3] }}", "9"),
        ("{{ _ }}", "last"),
        ("{ {{ x }} }", "{ 1 }"),
        ("{{{ x }}}", "{1}"),
        (r"\frac{ {{ x }} }{2}", r"\frac{ 1 }{2}"),
        ("{{ none }}", "None"),
    ],
)
def test_expressions(text: str, out: str) -> None:
    names = {"x": 1, "y": {"z": 2}, "words": ["a", "b"], "In": ["", "x = 1"], "Out": {3: 9}, "_": "last", "none": None}
    assert render(text, names) == out


@given(st.text())
def test_what_is_put_in_is_not_read_again(text: str) -> None:
    assert render("<{{ x }}>", {"x": text}) == f"<{text}>"
    assert render("{{ x }}", {"x": "{{ secret }}", "secret": "no"}) == "{{ secret }}"


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(InvalidRequest) as caught:
        render("one\nTranslate {{ questoin }}", {"question": 1, "other": 2})
    assert "questoin" in caught.value.message
    assert "line 2" in caught.value.message
    assert "question" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["{{ x.y.z }}", "{{ x['no'] }}", "{{ x.__class__ }}", "{{ 1 + }}", "{{ a b }}"])
def test_bad_expressions_are_errors(text: str) -> None:
    with pytest.raises(InvalidRequest):
        render(text, {"x": {}, "a": 1, "b": 2})


def test_names_shadow_builtins() -> None:
    assert render("{{ len }}", {"len": 3}) == "3"


def test_a_lone_template_in_yaml_is_the_object() -> None:
    frame: Callable[[], None] = lambda: None  # noqa: E731 - any object will do
    body = "a: {{ frame }}\nb: 'x {{ n }} y'\nc: [{{ n }}, 2]\n{{ key }}: 1"
    data = objects(body, {"frame": frame, "n": 7, "key": "k"}, yaml.safe_load)
    assert data == {"a": frame, "b": "x 7 y", "c": [7, 2], "k": 1}


def test_what_is_put_into_yaml_is_not_parsed() -> None:
    assert objects("a: x{{ t }}", {"t": ": b\n- c"}, yaml.safe_load) == {"a": "x: b\n- c"}
