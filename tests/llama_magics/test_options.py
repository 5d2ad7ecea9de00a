"""How a line is split into words and options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_magics.options import Word, read, words_of
from stack_core.errors import InvalidRequest

ASK = ("model", "system", "chat", "reset", "param", "attach", "schema", "raw")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ('ask "hi there"', ["ask", "hi there"]),
        ("ask 'it''s'", ["ask", "its"]),
        ("ask don't stop", ["ask", "don't", "stop"]),
        ('ask "say \\"hi\\""', ["ask", 'say "hi"']),
        ('ask "{{ d["a b"] }}"', ["ask", '{{ d["a b"] }}']),
        ("ask {{ a + b }} now", ["ask", "{{ a + b }}", "now"]),
        ("use {name of file}", ["use", "{name of file}"]),
        (
            'call x.y messages=[{role: user, content: "hi there"}]',
            ["call", "x.y", 'messages=[{role: user, content: "hi there"}]'],
        ),
        ("call x.y a='{\"b\": 1}'", ["call", "x.y", 'a={"b": 1}']),
        ("ask a { b", ["ask", "a", "{", "b"]),
        ("ask C:\\temp", ["ask", "C:\\temp"]),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert [word.text for word in words_of(line)] == words


def test_quoted_words_are_marked() -> None:
    assert words_of('smart "hi"') == [Word("smart"), Word("hi", quoted=True)]


def test_an_open_quote_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="not closed"):
        words_of('ask "hi')


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters='{}\\"'), min_size=1)))
def test_quoted_text_comes_out_as_it_went_in(texts: list[str]) -> None:
    assert [word.text for word in words_of(" ".join(f'"{text}"' for text in texts))] == texts


@given(st.text())
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        words_of(line)
    except InvalidRequest:
        assert "'" in line or '"' in line or "{{" in line


def test_options() -> None:
    line = read(words_of('smart -s "Answer in French" -p temperature=0 -p top_p=1 -o fr --raw "hi"'), "ask", ASK)
    assert [word.text for word in line.words] == ["smart", "hi"]
    assert line.options == {
        "system": "Answer in French",
        "param": ["temperature=0", "top_p=1"],
        "out": "fr",
        "raw": True,
    }


@pytest.mark.parametrize("written", ["-m fast", "-mfast", "-m=fast", "--model fast", "--model=fast"])
def test_ways_to_write_a_value(written: str) -> None:
    assert read(words_of(written), "ask", ASK).options == {"model": "fast"}


def test_after_two_dashes_everything_is_a_word() -> None:
    assert [w.text for w in read(words_of("-- -m x"), "ask", ASK).words] == ["-m", "x"]


def test_negative_numbers_are_words() -> None:
    assert [w.text for w in read(words_of("-2"), "code", ()).words] == ["-2"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--moddel x", "--model"),
        ("--each papers", "not in this version"),
        ("-T weather", "not in this version"),
        ("-z", "unknown option -z"),
        ("-m", "needs a value"),
        ("-m a -m b", "given twice"),
        ("--raw=1", "takes no value"),
        ("-f htm", "did you mean html"),
        ("--insert", "has no option --insert"),
    ],
)
def test_bad_options_are_refused(line: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(words_of(line), "ask", ASK)
    assert says in f"{caught.value.message} {caught.value.hint}"
