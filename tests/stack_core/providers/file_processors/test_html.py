"""The text of web pages, well formed or not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack_core.providers.file_processors._html import text_of


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<h1>A &amp; B</h1><p>one\n  two<br>three", "# A & B\n\none two\nthree"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<table><tr><td>1<td>2<tr><th>3</table>", "| 1 | 2\n | 3"),
        ("a<script>if (1 < 2) alert('<p>')</script>b<style>p > a {}</style>c", "abc"),
        ("a<SCRIPT>never ended", "a"),
        ("a<!-- <p>not said</p> -->b<!-- never ended", "ab"),
        ('<p title="a > b" class=\'c">\'>text', "text"),
        ('<p title="never ended>text', "text"),
        ("1 < 2 <3 and <", "1 < 2 <3 and <"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<?xml version='1.0'?><!DOCTYPE html><p>x</p>", "x"),
        ("un<b>brok</b>en", "unbroken"),
        ("&nbsp;&#x1F600;&bogus;", "😀&bogus;"),
    ],
)
def test_pages(page: str, text: str) -> None:
    assert text_of(page) == text


@settings(deadline=None)
@given(st.text("<>/!-\"'= \nabpre&;#", max_size=300))
def test_nothing_breaks_it(page: str) -> None:
    text_of(page)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abcäß ", min_size=1, max_size=20).filter(lambda text: text.strip()), max_size=10))
def test_every_word_is_kept(paragraphs: list[str]) -> None:
    page = "".join(f"<p class='x'>{text}</p>" for text in paragraphs)
    assert text_of(page).split() == " ".join(paragraphs).split()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["<div>", '<a "', "<script>", "<!--", "<", "&", "<pre>", "<a '\">"])
def test_a_million_of_anything(part: str) -> None:
    text_of(part * 1_000_000)
