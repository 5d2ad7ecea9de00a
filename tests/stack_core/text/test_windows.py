"""Windows over a text that grows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack_core.errors import InvalidRequest
from stack_core.text.windows import Window, Windows


def run(pieces: list[str], step: int, overlap: int) -> list[Window]:
    windows = Windows(step, overlap)
    return [window for piece in pieces for window in windows.feed(piece)] + windows.finish()


@given(
    st.lists(st.text("ab", max_size=12)), st.integers(1, 9), st.integers(0, 6), st.text("ab", min_size=1, max_size=7)
)
def test_nothing_of_what_a_guard_blocks_is_let_go(pieces: list[str], step: int, overlap: int, bad: str) -> None:
    """A guard that looks for `bad`, which fits the overlap: what was let go before it said no ends before `bad`."""
    text, shown = "".join(pieces), ""
    bad = bad[: overlap + 1]
    for window in run(pieces, step, overlap):
        if bad in window.text:
            break
        shown += window.release
    else:
        assert bad not in text
        assert shown == text
    if bad in text:
        assert len(shown) <= text.index(bad)


@given(st.text(max_size=60), st.lists(st.integers(0, 60)), st.integers(1, 9), st.integers(0, 6))
def test_the_pieces_do_not_matter(text: str, cuts: list[int], step: int, overlap: int) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert run(pieces, step, overlap) == run([text], step, overlap)


@given(st.text(max_size=60), st.integers(1, 9), st.integers(0, 6))
def test_every_character_is_let_go_once(text: str, step: int, overlap: int) -> None:
    windows = run(list(text), step, overlap)
    assert "".join(window.release for window in windows) == text
    assert all(window.release in window.text for window in windows)
    assert all(len(window.text) <= step + 2 * overlap for window in windows)


def test_a_stream_is_let_go_while_it_grows() -> None:
    windows = Windows(step=4, overlap=2)
    assert windows.feed("abcde") == []
    assert windows.feed("fgh") == [Window("abcdef", "abcd")]
    assert windows.finish() == [Window("cdefgh", "efgh")]
    assert windows.finish() == []


def test_sizes_that_make_no_sense() -> None:
    for step, overlap in ((0, 1), (1, -1)):
        with pytest.raises(InvalidRequest, match="overlap"):
            Windows(step, overlap)
