"""What leaves the kernel is plain data without control characters and without known secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from llama_magics import render
from llama_magics.render.outgoing import clean, outgoing
from llama_magics.results import Answer, ErrorNote, Listing, Value
from tests.llama_magics.render.samples import answer, everything

KEY = "sk-proj_a*b*c<d>&1234567890"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that knows one key."""
    monkeypatch.setattr(render, "scrub", lambda text: text.replace(KEY, "[redacted]"))


@pytest.mark.usefixtures("keyed")
def test_a_known_key_reaches_no_form() -> None:
    said = f"The key is {KEY}."
    for result in (
        answer(text=said, reasoning=said, error=ErrorNote("X", said, said, said, said), state="failed", alias=KEY),
        Value(said, {KEY: [said]}),
        Listing(said, [KEY], [[said]], said, [(said, said)]),
        Answer("x" * 19_990 + KEY, "m"),
    ):
        shown = json.dumps(render.bundle(result), ensure_ascii=False) + render.plain(result)
        assert "sk-proj" not in shown
        assert "[redacted]" in shown
    assert result.text.endswith(KEY), "the object itself is not changed"


@pytest.mark.usefixtures("keyed")
def test_a_key_hidden_by_escapes_is_found_in_what_is_shown() -> None:
    class Session:
        key = "sk-abcdefgh"

    render.scrub = lambda text: text.replace(Session.key, "[redacted]")
    shown = render.bundle(Answer("sk\\-abcdefgh and sk-\x1b[1mabcdefgh\x1b[0m", "m"))
    assert "sk-abcdefgh" not in shown["text/html"]


def test_control_characters_and_terminal_escapes_go() -> None:
    assert clean("a\x1b[31mred\x1b[0m\x1b]0;title\x07\x07b\r\nc\rd\te\x9b1mf\u202eg\ud800") == "aredb\nc\nd\tefg"
    assert clean("plain ü 漢字 🙂 \u200d") == "plain ü 漢字 🙂 \u200d"


def test_foreign_objects_become_plain_data() -> None:
    class Book(BaseModel):
        title: str
        year: int

    @dataclass
    class Pair:
        left: Any
        right: Any

    result = Value("v", {"book": Book(title="Dune", year=1965), 1: np.float64(2.5), "n": float("nan"), "s": {3}})
    shown = render.bundle(result)["application/vnd.llama-stack.value.v1+json"]
    assert shown["value"] == {"book": {"title": "Dune", "year": 1965}, "1": 2.5, "n": "nan", "s": [3]}
    copy = outgoing(Listing("t", ["a"], [[np.arange(2)], [Pair(1, object)]]), str)
    assert copy.rows[0] == [[0, 1]] and copy.rows[1][0].right.startswith("<class")


def test_an_endless_structure_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "…" in render.plain(Value("v", loop))


def test_the_hook_is_the_identity_by_default() -> None:
    assert all(render.bundle(result) for result in everything().values())
    assert render.scrub("x") == "x"
