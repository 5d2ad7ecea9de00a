"""Personal data and secrets in a text: where they are, each kind with the checks that keep other numbers out.

Every pattern looks at a bounded number of characters for each place, so that the time grows with the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

Span = tuple[int, int]

_DOMAIN = re.compile(r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:"
    r"(?:\+|00)[1-9](?:[ ().\-/]{0,2}\d){6,14}"  # with the country's number
    r"|(?:\(0\d{1,5}\)|0\d{1,5})(?:[ .\-/]{0,2}\d){5,11}"  # with the area's, as most countries write it
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # North America
    r"|\d{3}-\d{4}"
    r")(?![\w-])"
)
_CARD = re.compile(
    r"(?<![\d.])(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -])\d{6}\2\d{4,5})(?!\d)"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2}[0-9]{2})(?=((?:[ -]?[A-Za-z0-9]){11,30}))")
_AS_NUMBERS = {ord("A") + number: str(number + 10) for number in range(26)}
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of each country's account numbers (the IBAN registry of SWIFT)."""
_SECRETS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-[A-Za-z0-9_-]{20,200}|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}"
    r"|glpat-[\w-]{20,64}|xox[abeoprs]-[A-Za-z0-9-]{10,250}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,64}|gsk_[A-Za-z0-9]{40,80}"
    r"|nvapi-[\w-]{30,120}|tvly-[\w-]{16,64}|npm_[A-Za-z0-9]{36}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,128}"
    r"|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,1000}"
    r")(?![A-Za-z0-9_])"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_PRIVATE_KEY_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_NAMED = re.compile(
    r"(?i)(?:api[ _-]?key|access[ _-]?key|secret[ _-]?key|client[ _-]?secret|auth[ _-]?token|access[ _-]?token|password"
    r"|passwd|pwd)[\"']?\s{0,3}(?:[:=]|\bis\b)\s{0,3}[\"']?(?P<value>[^\s\"'<>,;]{6,200})"
)
LONGEST_KEY = 16_384
"""Characters after the first line of a private key that are looked at for its last."""


def emails(text: str) -> Iterator[Span]:
    """Addresses of e-mail: found by their host, then read backwards."""
    for match in _DOMAIN.finditer(text):
        at = match.start()
        if name := _LOCAL.search(text[max(0, at - 64) : at]):
            yield at - len(name[0]), match.end()


def phones(text: str) -> Iterator[Span]:
    """Telephone numbers, international, national with a leading nought, and North American."""
    return (match.span() for match in _PHONE.finditer(text))


def cards(text: str) -> Iterator[Span]:
    """Numbers of payment cards, in one or in their usual groups, whose check digit is right."""
    return (match.span() for match in _CARD.finditer(text) if luhn(match[0]))


def luhn(number: str) -> bool:
    """Whether the last digit is what the others ask for (ISO/IEC 7812); signs between them do not count."""
    digits = [int(sign) for sign in number if sign.isdecimal()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return len(digits) > 1 and (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def ibans(text: str) -> Iterator[Span]:
    """International bank account numbers of the right length and with the right check digits (ISO 13616)."""
    for match in _IBAN.finditer(text):
        head, rest = match[1], match[2]
        wanted = _IBAN_LENGTHS.get(head[:2].upper(), 99) - 4
        kept = rest.replace(" ", "").replace("-", "")[:wanted]
        if len(kept) < wanted or int((kept + head).upper().translate(_AS_NUMBERS)) % 97 != 1:
            continue
        end = match.end(1)
        while wanted:
            wanted -= text[end] not in " -"
            end += 1
        if end == len(text) or not text[end].isalnum():
            yield match.start(), end


def secrets(text: str) -> Iterator[Span]:
    """Keys of well-known services, tokens (JWT), private keys, and what is called a password or a key."""
    yield from (match.span() for match in _SECRETS.finditer(text))
    yield from (match.span("value") for match in _NAMED.finditer(text))
    place = 0
    while first := _PRIVATE_KEY.search(text, place):
        last = _PRIVATE_KEY_END.search(text, first.end(), first.end() + LONGEST_KEY)
        place = last.end() if last else first.end()
        yield first.start(), place


DETECTORS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    "email": emails,
    "phone": phones,
    "card": cards,
    "iban": ibans,
    "secret": secrets,
}
"""Kinds of personal data by name; a detector gives the places of its kind in a text."""
