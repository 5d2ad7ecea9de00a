"""Personal data: what is found, and what only looks like it."""

from __future__ import annotations

import pytest

from stack_core.providers.safety._pii import DETECTORS, luhn
from stack_core.providers.safety._view import View, lowered

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"
FOUND = {
    "email": ["a@b.org", "first.last+tag@mail.example.co.uk", "müller@straße.de", "o'neil@x.io", "a_b@c-d.museum"],
    "phone": [
        "555-0100", "+49 30 901820", "+1 (212) 555-0199", "(212) 555-0199", "212-555-0199", "0044 20 7946 0958",
        "030/901820", "+33 1 23 45 67 89", "1-800-555-0199",
    ],
    "card": ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "3782 822463 10005", "378282246310005"],
    "iban": ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb29 nwbk 6016 1331 9268 19", "NO9386011117947"],
    "secret": [
        "sk-abcdefghijklmnopqrstuvwx", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a" * 36, "hf_" + "B" * 34, KEY,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlYQ",
    ],
}  # fmt: skip
NOT_FOUND = {
    "email": ["a@b", "@someone", "a @ b.org", "user@localhost", "@x.py", "name (at) host (dot) org"],
    "phone": ["2024-01-15", "192.168.0.1", "12345", "3.14159265358979", "id-555-0100-x", "ISBN 978-3-16-148410-0"],
    "card": ["4111111111111112", "1234567890123456", "41111111111111111111111", "0.4111111111111111"],
    "iban": ["DE88370400440532013000", "DE8937040044053201300", "XX89370400440532013000", "XDE89370400440532013000"],
    "secret": ["sk-short", "AKIA123", "the password is short", "eyJ.eyJ.x", "risk-abcdefghijklmnopqrstuvwxyz"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_is_found_whole(kind: str, text: str) -> None:
    for before, after in (("", ""), ("see ", " now"), ("(", ")"), ("é: ", ", ok")):
        whole = before + text + after
        spans = [span for span in DETECTORS[kind](whole) if whole[slice(*span)] == text]
        assert spans == [(len(before), len(before) + len(text))], whole


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NOT_FOUND.items() for text in texts])
def test_only_looks_like_it(kind: str, text: str) -> None:
    assert list(DETECTORS[kind](f"see {text} now")) == []


def test_a_named_secret_is_found_without_its_name() -> None:
    text = 'api_key = "abcdef123456"; password: hunter22!'
    assert [text[slice(*span)] for span in DETECTORS["secret"](text)] == ["abcdef123456", "hunter22!"]


def test_the_check_digit() -> None:
    assert luhn("79927398713")
    assert not any(luhn(f"7992739871{digit}") for digit in (0, 1, 2, 4, 5, 6, 7, 8, 9))
    assert not luhn("0")


@pytest.mark.parametrize(
    "text",
    [
        "joh\u200bn@exa\u00admple.org",  # invisible characters
        "ｊｏｈｎ＠ｅｘａｍｐｌｅ．ｏｒｇ",  # noqa: RUF001  # full width
        "jоhn@ехаmрlе.оrg",  # noqa: RUF001  # Cyrillic
        "\u2060john@example.org\ufeff",
    ],
)
def test_disguises_of_an_address(text: str) -> None:
    whole = f"write to {text} soon"
    view = View(whole)
    assert view.plain == "write to john@example.org soon"
    ((start, end),) = DETECTORS["email"](view.plain)
    start, end = view.original(start, end)
    assert whole[start:end] == text.strip("\u2060\ufeff")


@pytest.mark.parametrize("text", ["", "\ud800", "a\udfff@b.org\ud800", "İıß", "\u200b" * 3, "👩\u200d👩\u200d👧"])
def test_texts_that_are_odd(text: str) -> None:
    view = View(text)
    assert len(view.text) == len(view.plain)
    assert len(lowered(text)) == len(text)
    for detector in DETECTORS.values():
        list(detector(view.plain))
