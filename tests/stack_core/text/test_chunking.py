"""Texts cut into pieces: nothing lost, offsets true, cuts where a reader would make them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack_core.errors import InvalidRequest
from stack_core.text.chunking import chunk, tokens


@st.composite
def _sizes(draw: st.DrawFn) -> tuple[int, int]:
    most = draw(st.integers(1, 60))
    return most, draw(st.integers(0, most // 2))


@settings(deadline=None)
@given(st.one_of(st.text(max_size=400), st.text("ab. \n漢字,", max_size=600)), _sizes())
def test_offsets_are_true_and_nothing_is_lost(text: str, sizes: tuple[int, int]) -> None:
    most, overlap = sizes
    pieces = chunk(text, most, overlap)
    covered: set[int] = set()
    for piece in pieces:
        assert piece.text == text[piece.start : piece.end] != ""
        assert tokens(piece.text) <= most
        covered |= set(range(piece.start, piece.end))
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)
    for one, two in pairwise(pieces):
        assert one.start < two.start
        assert one.end < two.end
        assert tokens(text[two.start : one.end]) <= overlap


def test_a_short_text_is_one_piece() -> None:
    assert [p.text for p in chunk("  A short text.\n")] == ["A short text."]
    assert chunk(" \n\t ") == chunk("") == []


def test_cuts_fall_on_paragraphs_then_sentences_then_words() -> None:
    paragraphs = "one two three four five six seven.\n\neight nine ten eleven twelve thirteen"
    assert chunk(paragraphs, 10, 0)[0].text == "one two three four five six seven."
    sentences = "One two three four five six seven. Eight nine ten eleven."
    assert chunk(sentences, 10, 0)[0].text == "One two three four five six seven."
    words = "understandable understandable understandable"
    assert [p.text for p in chunk(words, 4, 0)] == ["understandable"] * 3


def test_the_next_piece_says_the_end_of_the_last_again() -> None:
    text = " ".join(f"w{n}" for n in range(100))
    one, two = chunk(text, 20, 10)[:2]
    assert one.text.split()[10:] == two.text.split()[:10]


def test_a_word_without_end_is_cut_inside() -> None:
    pieces = chunk("x" * 6000, 100, 50)
    assert len(pieces) == 19
    assert pieces[-1].end == 6000


def test_chinese_counts_each_character() -> None:
    assert tokens("漢字です") == 4
    assert chunk("今日は晴れ。明日は雨です。", 8, 0)[0].text == "今日は晴れ。"


@pytest.mark.parametrize(("most", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_sizes_that_cannot_be_are_refused(most: int, overlap: int) -> None:
    with pytest.raises(InvalidRequest, match="overlap"):
        chunk("text", most, overlap)


@pytest.mark.slow
def test_ten_megabytes() -> None:
    text = "A sentence of ordinary words, with a comma. " * 230_000
    pieces = chunk(text)
    assert pieces[-1].end == len(text.rstrip())
