"""Filters over attributes: as a test in Python, and as SQL over a JSON column with parameters.

Values are of three kinds, text, number and truth, and values of different kinds are never equal: `true` is not 1.
`gt`, `gte`, `lt` and `lte` order numbers among numbers and text (by code point) among text; truth has no order.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from stack_core.apis.vector_io import Combination, Comparison, Filter
from stack_core.errors import InvalidRequest, nearest

DEEPEST, MOST_CONDITIONS = 32, 500
"""Bounds of a filter, below those of the databases (SQLite's expressions are at most 1,000 deep)."""

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_SIGN = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LISTS = ("in", "nin")
_OPS = ("eq", "ne", *_ORDER, *_LISTS)
_UNFIT_IN_PATH = re.compile(r'[%"\\\x00-\x1f]')

Kinded = tuple[str, Any]


def kinded(value: Any) -> Kinded | None:
    """A value with its kind, fit to be compared and hashed; None for a null.

    Raises:
        InvalidRequest: it is none of the three kinds, or a number that is not finite.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, str):
        return "text", value
    if isinstance(value, int | float):
        number = _finite(value)
        if number is not None:
            return "number", number
        raise InvalidRequest(f"{value} is no number that can be compared")
    raise InvalidRequest(
        f"an attribute cannot be a {type(value).__name__}", "give text, a number, true or false; lists only to in, nin"
    )


def _finite(value: float) -> float | None:
    """A number that every database can hold: whole ones past 64 bits as floats."""
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def checked(where: Filter) -> Filter:
    """The same filter, once its operators, values and size are known to be good.

    Raises:
        InvalidRequest: names the operator or value that is wrong.
    """
    conditions = 0
    level: list[Filter] = [where]
    for _ in range(DEEPEST):
        conditions += len(level)
        deeper: list[Filter] = []
        for part in level:
            if isinstance(part, Combination):
                if part.op not in ("and", "or"):
                    raise InvalidRequest(f"filters are joined by and, or; not by {part.op!r}")
                deeper += part.filters
            else:
                _check_comparison(part)
        if not deeper:
            break
        level = deeper
    else:
        raise InvalidRequest(f"the filter is more than {DEEPEST} levels deep", "and, or take any number of filters")
    if conditions > MOST_CONDITIONS:
        raise InvalidRequest(
            f"the filter has {conditions} conditions; at most {MOST_CONDITIONS} are taken",
            "one in or nin takes any number of values",
        )
    return where


def _check_comparison(part: Comparison) -> None:
    if part.op not in _OPS:
        close = nearest(part.op, _OPS)
        raise InvalidRequest(
            f"no comparison is called {part.op!r}", f"did you mean {close[0]}?" if close else f"use {', '.join(_OPS)}"
        )
    storable(part.key, "the filter")
    if part.op in _LISTS and not isinstance(part.value, list | tuple | set | frozenset):
        raise InvalidRequest(f"{part.op} on {part.key!r} takes a list of values")
    for value in part.value if part.op in _LISTS else [part.value]:
        if isinstance(value, str):
            storable(value, "the filter")
        if kinded(value) is None:
            raise InvalidRequest(f"{part.op} on {part.key!r} cannot compare with null", "leave the condition out")


def storable(text: str, id: str) -> None:
    """Check a text that goes into a database.

    Raises:
        InvalidRequest: it has half of a surrogate pair, which no database takes.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"a text of {id!a} is not valid Unicode: {error}", "decode it anew") from error


def test_of(part: Comparison) -> Callable[[Kinded | None], bool]:
    """What a comparison says of one attribute's value; None where an entry does not have it."""
    if part.op in _LISTS:
        wanted = {kinded(value) for value in part.value}
        return wanted.__contains__ if part.op == "in" else lambda found: found not in wanted
    given = kinded(part.value)
    if part.op == "eq":
        return lambda found: found == given
    if part.op == "ne":
        return lambda found: found != given
    assert given is not None
    kind, value = given
    compare = _ORDER[part.op]
    if kind == "truth":
        return lambda found: False
    return lambda found: found is not None and found[0] == kind and compare(found[1], value)


def predicate(where: Filter) -> Callable[[Mapping[str, Any]], bool]:
    """A filter as a test of an entry's attributes.

    Raises:
        InvalidRequest: see `checked`.
    """
    return _predicate(checked(where))


def _predicate(where: Filter) -> Callable[[Mapping[str, Any]], bool]:
    if isinstance(where, Combination):
        parts = [_predicate(part) for part in where.filters]
        joined = all if where.op == "and" else any
        return lambda attributes: joined(part(attributes) for part in parts)
    test, key = test_of(where), where.key
    return lambda attributes: test(kinded(attributes.get(key)))


# ---- as SQL over a JSON column ---------------------------------------------------------------------------------------
#
# The kind stands in the stored value, so that one comparison tells values of two kinds apart: text begins with "s",
# truth is "b0" or "b1", numbers stay numbers. SQLite sorts numbers before text, so a kind is a range of values.


def stored(attributes: Mapping[str, Any]) -> str:
    """Attributes as the JSON text of the column.

    Raises:
        InvalidRequest: a value is of no kind that can be stored.
    """
    pairs = {_label(key): _stored(pair) for key, value in attributes.items() if (pair := kinded(value)) is not None}
    return json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))


def restored(text: str) -> dict[str, Any]:
    """Attributes out of the column."""
    found = json.loads(text)
    return {
        unquote(key): value if not isinstance(value, str) else value[1:] if value[0] == "s" else value == "b1"
        for key, value in found.items()
    }


def to_sqlite(where: Filter, column: str) -> tuple[str, list[Any]]:
    """A condition for SQLite, and its parameters.

    Args:
        column: the name of the column that holds what `stored` gave.

    Raises:
        InvalidRequest: see `checked`.
    """
    return _sqlite(checked(where), column)


def _sqlite(where: Filter, column: str) -> tuple[str, list[Any]]:
    if isinstance(where, Comparison):
        return _sqlite_comparison(where, f"json_extract({column}, ?)")
    parts = [_sqlite(part, column) for part in where.filters]
    if not parts:
        return ("1" if where.op == "and" else "0"), []
    return f"({f' {where.op} '.join(text for text, _ in parts)})", [value for _, values in parts for value in values]


def _sqlite_comparison(part: Comparison, found: str) -> tuple[str, list[Any]]:
    path = f'$."{_label(part.key)}"'
    if part.op in _LISTS:
        values = [_stored(pair) for value in part.value if (pair := kinded(value)) is not None]
        listed = "(SELECT value FROM json_each(?))"
        text = f"{found} IN {listed}" if part.op == "in" else f"ifnull({found} NOT IN {listed}, 1)"
        return text, [path, json.dumps(values, ensure_ascii=False)]
    pair = kinded(part.value)
    assert pair is not None
    # SQLite reads numbers out of JSON a last digit differently than Python does: both sides go the same way
    bound = json.dumps([_stored(pair)], ensure_ascii=False)
    given = "json_extract(?, '$[0]')"
    if part.op in ("eq", "ne"):
        return f"{found} IS {'NOT ' if part.op == 'ne' else ''}{given}", [path, bound]
    if pair[0] == "truth":
        return "0", []
    own_kind = f"{found} < ''" if pair[0] == "number" else f"{found} >= 's'"
    return f"({own_kind} AND {found} {_SIGN[part.op]} {given})", [path, path, bound]


def _stored(pair: Kinded) -> str | float:
    kind, value = pair
    number: float = value if kind == "number" else 0
    return f"s{value}" if kind == "text" else f"b{int(value)}" if kind == "truth" else number


def _label(key: str) -> str:
    """A key as it may stand in a JSON path, whatever characters it has; `unquote` undoes it."""
    return _UNFIT_IN_PATH.sub(lambda found: f"%{ord(found[0]):02X}", key)
