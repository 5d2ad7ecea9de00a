"""What a request is spoiled with: what JSON can say and nobody expects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.pool import Pool


def _deep(opening: Any, levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = {"a": value} if opening == "{" else [value]
    return value


NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 5e-324, float("nan"), float("inf"),
    "", " ", ".", "..", "../../etc/passwd", "/", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "a\udc80", "\U0010ffff",
    "\u202e", "\r\n\r\n", "%00", "%", "'; DROP TABLE files; --", "{{ 7 * 7 }}", "${env.HOME}", "x" * 70_000, "1e999",
    [], {}, [[]], [None], {"": None}, {"\x00": "\x00"}, {"\ud800": 1}, {"__proto__": 1}, {"$ref": "#"}, {"type": "x"},
    _deep("{", 100), _deep("[", 300), list(range(3000)),
)  # fmt: skip

NO_JSON = (
    b"", b"{", b"\xff", b"\x00", b"null", b"[]", b'"x"', b"{}{}", b'{"a": NaN}', b'{"a": "\xed\xa0\x80"}',
    b'{"a": 1, "a": 2}',
    b"[" * 100_000, b'{"a":' * 100_000, b'{"input": ' + b"9" * 50_000 + b"}", b"\xef\xbb\xbf{}", "{}".encode("utf-16"),
)  # fmt: skip
"""Whole bodies."""

NASTY_TEXTS = (
    *(value[:5000].encode("utf-8", "surrogatepass") for value in NASTY if isinstance(value, str)),
    b"\xff\xfe",
)
"""Of what no JSON says: queries and files."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value inside this one down to the eighth level, itself first."""
    yield path
    if len(path) == 8:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value in this place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def spoiled(body: Any) -> st.SearchStrategy[Any]:
    """The body with one to three places of it replaced."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        found = body
        for _ in range(draw(st.integers(1, 3))):
            where = draw(st.sampled_from(list(places(found))[:200]))
            found = replaced(found, where, draw(st.sampled_from(NASTY)))
        return found

    return draw_one()


def with_ids(value: Any, pool: Pool, number: int) -> Any:
    """A copy that names what is there, wherever a field names something."""
    if isinstance(value, list):
        return [with_ids(item, pool, number) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {}
    for key, inner in value.items():
        found = pool.pick(key, number) if isinstance(key, str) else None
        if found is not None and isinstance(inner, str):
            copy[key] = found
        elif found is not None and isinstance(inner, list):
            copy[key] = [found for _ in inner[:3]] or [found]
        else:
            copy[key] = with_ids(inner, pool, number)
    return copy


def written(body: Any) -> bytes:
    """JSON with escapes for what is not ASCII, so that lone surrogates can be sent."""
    return json.dumps(body).encode()
