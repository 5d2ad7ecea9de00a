"""A stream shows its text exactly once, in any chunking, with and without a final event, wherever it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from traitlets.config import Config

from llama_magics import render
from llama_magics.render import stream
from llama_magics.render.stream import Growing, LiveAnswer, LiveComparison
from llama_magics.results import Answer, Comparison, ErrorNote, ToolStep

KERNEL = SimpleNamespace(kernel=True)
"""What tells a notebook's shell from a terminal's; the display itself is IPython's own."""
TERMINAL = SimpleNamespace()


@pytest.fixture(scope="module", autouse=True)
def shell() -> Iterator[InteractiveShell]:
    """IPython's own display machinery, without a history on disk."""
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


@pytest.fixture
def shown() -> Iterator[CapturedIO]:
    """What IPython displays and what is printed."""
    with capture_output() as captured:
        yield captured


def frames(captured: CapturedIO) -> list[dict[str, Any]]:
    """Every display and update, in order."""
    return captured._outputs or []


LETTERS = st.characters(exclude_characters="\x1b\x9b")
CHUNKS = st.lists(st.text(LETTERS, max_size=8), max_size=12)


@given(CHUNKS, st.booleans(), st.booleans())
def test_the_reducer_has_the_text_exactly_once(chunks: list[str], has_final: bool, has_deltas: bool) -> None:
    growing, text = Growing("m"), "".join(chunks)
    for chunk in chunks if has_deltas or not has_final else []:
        growing.feed(chunk)
    if has_final:
        growing.set(text)
        growing.feed(text)
    assert growing.text == text


@given(CHUNKS, st.booleans())
def test_a_terminal_prints_the_text_exactly_once(chunks: list[str], has_final: bool) -> None:
    text = "".join(chunks)
    with capture_output() as captured:
        live = LiveAnswer(TERMINAL, "m")
        for chunk in chunks:
            live.feed(chunk)
        if has_final:
            live.set(text)
        live.finish(Answer(text, "m", seconds=1.0))
    printed = captured.stdout
    assert printed.endswith("[m · 1.0 s]\n")
    body = printed.removesuffix("[m · 1.0 s]\n")
    assert body.strip() == stream.clean(text).strip()


def test_a_terminal_prints_words_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    live = LiveAnswer(TERMINAL, "m")
    live.feed("One two thr")
    assert capsys.readouterr().out == "One two "
    live.feed("ee four ")
    assert capsys.readouterr().out == "three four "
    live.finish(Answer("One two three four five", "m", seconds=2.0, tool_calls=[ToolStep("1", "f", "{}")]))
    assert capsys.readouterr().out == "five\n→ f({})\n\n[m · 2.0 s]\n"


def test_a_final_event_that_corrects_is_printed_after_what_came(capsys: pytest.CaptureFixture[str]) -> None:
    live = LiveAnswer(TERMINAL, "m")
    live.feed("wrong ")
    live.set("right")
    live.finish(Answer("right", "m", seconds=1))
    assert capsys.readouterr().out == "wrong \n\nright\n\n[m · 1.0 s]\n"


def test_a_notebook_has_one_display_that_ends_in_the_bundle(shown: CapturedIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_GAP", 0.0)
    answer = Answer("Hello **you**", "m")
    live = LiveAnswer(KERNEL, "m")
    live.feed("Hello ")
    live.feed("**you**")
    live.finish(answer)
    seen = frames(shown)
    assert [frame.get("update", False) for frame in seen] == [False, True, True, True]
    assert len({frame["transient"]["display_id"] for frame in seen}) == 1
    assert "Hello " in seen[1]["data"]["text/html"]
    assert seen[-1]["data"] == render.bundle(answer)
    assert live.text == answer.text


def test_updates_keep_their_distance_and_the_end_is_never_lost(shown: CapturedIO) -> None:
    live = LiveAnswer(KERNEL, "m")
    for _ in range(500):
        live.feed("word ")
    live.finish(Answer("word " * 500, "m"))
    assert len(frames(shown)) <= 2 + 500 * 0.05
    assert frames(shown)[-1]["data"]["text/plain"].count("word") == 500


def test_the_switch_shows_one_final_output(shown: CapturedIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stream.SWITCH, "0")
    live = LiveAnswer(KERNEL, "m")
    live.feed("Hello ")
    live.finish(Answer("Hello you", "m"))
    assert [frame["data"] for frame in frames(shown)] == [render.bundle(Answer("Hello you", "m"))]


def test_quiet_shows_nothing(shown: CapturedIO, capsys: pytest.CaptureFixture[str]) -> None:
    live = LiveAnswer(KERNEL, "m", quiet=True)
    live.feed("Hello ")
    live.finish(Answer("Hello you", "m"))
    assert frames(shown) == [] and capsys.readouterr().out == ""


def test_an_error_before_the_first_word_replaces_the_placeholder(shown: CapturedIO) -> None:
    live = LiveAnswer(KERNEL, "m")
    live.finish(ErrorNote("ProviderTimeout", "nothing came in 60 s"))
    assert "waiting for the first word" in frames(shown)[0]["data"]["text/html"]
    assert frames(shown)[-1]["data"]["text/plain"] == "ProviderTimeout: nothing came in 60 s"


def test_thoughts_show_until_the_text_comes(shown: CapturedIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_GAP", 0.0)
    live = LiveAnswer(KERNEL, "m")
    live.reasoning("Let me see. ")
    live.tool(ToolStep("1", "f", '{"a": "<b>"}'))
    live.feed("It is ")
    seen = [frame["data"]["text/html"] for frame in frames(shown)]
    assert "thinking" in seen[1] and "Let me see." in seen[1]
    assert "f({&quot;a&quot;: &quot;&lt;b&gt;&quot;})" in seen[2]
    assert "Let me see." not in seen[3] and "answering" in seen[3]


def test_a_comparison_grows_in_columns_of_one_display(shown: CapturedIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_GAP", 0.0)
    live = LiveComparison(KERNEL, ["fast", "smart"])
    live.feed(0, "left ")
    live.feed(1, "right ")
    live.set(1, "right side")
    both = Comparison([Answer("left", "fast"), Answer("right side", "smart")])
    live.finish(both)
    assert (live.text(0), live.text(1)) == ("left ", "right side")
    html = frames(shown)[2]["data"]["text/html"]
    assert html.index("left") < html.index("fast") < html.index("right") < html.index("smart")
    assert len({frame["transient"]["display_id"] for frame in frames(shown)}) == 1
    assert frames(shown)[-1]["data"] == render.bundle(both)


def test_a_terminal_prints_a_comparison_when_all_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    live = LiveComparison(TERMINAL, ["a", "b"])
    live.feed(0, "one ")
    assert capsys.readouterr().out == ""
    live.finish(Comparison([Answer("one", "a"), Answer("two", "b")]))
    assert capsys.readouterr().out == "── a ──\none\n\n[a]\n\n── b ──\ntwo\n\n[b]\n"


@pytest.mark.parametrize("text", ["<script>alert(1)</script> ", "<img src=x onerror=alert(1)> ", "\x1b[31m</div> "])
def test_a_growing_text_is_escaped(text: str) -> None:
    growing = Growing(text)
    growing.feed(text)
    growing.reasoning(text)
    growing.tool(ToolStep("1", text, text))
    assert not re.search(r"<(?!/?(?:div|span|code)\b)", growing.html(growing.words()))
    assert "\x1b" not in growing.html(growing.words()) and growing.html(growing.words()).count("<div") == growing.html(
        growing.words()
    ).count("</div")


def test_a_key_split_over_chunks_is_never_shown(
    shown: CapturedIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_GAP", 0.0)
    monkeypatch.setattr(render, "scrub", lambda text: text.replace("sk-abcdef", "[redacted]"))
    live, printed = LiveAnswer(KERNEL, "m"), LiveAnswer(TERMINAL, "m")
    for part in ("my sk-", "abc", "def", " and more ", "words"):
        live.feed(part)
        printed.feed(part)
    answer = Answer("my sk-abcdef and more words", "m", seconds=1)
    live.finish(answer)
    printed.finish(answer)
    out = capsys.readouterr().out
    assert "sk-" not in str(frames(shown)) + out
    assert out == "my [redacted] and more words\n\n[m · 1.0 s]\n"


def test_an_update_of_a_long_text_is_cut_and_reads_no_markdown(
    shown: CapturedIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_GAP", 0.0)
    live = LiveAnswer(KERNEL, "m")
    live.feed("a <b> line & **more**\n" * 5_000)
    live.feed("the end ")
    frame = frames(shown)[-1]["data"]["text/html"]
    assert "earlier characters are hidden" in frame
    assert "**more**" in frame
    assert len(frame) < 40_000
