"""The Python source of twins."""

from __future__ import annotations

import ast
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llama_magics.source import Source, call, literal, text

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_literals_read_back(value: Any) -> None:
    assert ast.literal_eval(literal(value)) == value


@given(st.text(alphabet="a\"\\\n'{}", max_size=30))
def test_awkward_texts_read_back(value: str) -> None:
    assert ast.literal_eval(literal(value)) == value


def test_calls() -> None:
    assert call("ask", "hi", "smart", out="x", system=None, reset=False, chat="trip") == (
        'x = stack.ask("hi", "smart", chat="trip")'
    )


def test_templates_stay_templates() -> None:
    assert text("a {{ x }}", raw=False) == Source('stack.render("a {{ x }}")')
    assert text("a {{ x }}", raw=True) == "a {{ x }}"
    assert text("a {x}", raw=False) == "a {x}"
