"""Markers are taken out of a text wherever it is cut, and everything else stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stack_core.apis._parts import FileCitation
from stack_core.providers.responses._citations import Citing

FILES = {"file-a": "a.txt", "file-b": "b.txt"}
WORDS = st.sampled_from(
    ["Cats ", "sleep", " ", "  ", "<", "<|", "|>", "<|file-a|>", " <|file-b|>", "<|file-x|>", ".", "\n"]
)


def read(pieces: list[str], files: dict[str, str] = FILES) -> tuple[str, list[tuple[str, int]]]:
    """(text, citations with their places)"""
    citing = Citing(files)
    found = [one for piece in pieces for one in citing.add(piece)]
    found += citing.end()
    text = "".join(one for one in found if isinstance(one, str))
    return text, [(one.file_id, one.index) for one in found if isinstance(one, FileCitation)]


@given(st.lists(WORDS, max_size=12), st.data())
def test_the_cuts_change_nothing(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(pieces) == read([text])


def test_a_marker_is_a_citation_at_its_place() -> None:
    assert read(["Cats sleep <|file-a|>. Dogs too<|file-b|>."]) == (
        "Cats sleep. Dogs too.",
        [("file-a", 10), ("file-b", 20)],
    )


def test_a_marker_of_an_unknown_file_stays_text() -> None:
    assert read(["So <|file-x|> it is <|file-a"]) == ("So <|file-x|> it is <|file-a", [])


def test_without_files_nothing_is_held_back() -> None:
    citing = Citing({})
    assert list(citing.add("a <|")) == ["a <|"]
