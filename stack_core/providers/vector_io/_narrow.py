"""Filters for databases that compare plain fields: what of a filter they can do themselves.

An attribute becomes one or two fields of its entry. The first is the digest of its value with its kind, so that every
database agrees on what is equal; the second, of numbers alone, is the number as a float, for ranges. A narrowed filter
takes every entry that the filter takes, and maybe more: who asks looks at what comes back once more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stack_core.apis.vector_io import Comparison, Filter
from stack_core.providers.vector_io._filters import Kinded, checked, kinded

MARGIN, LEAST = 1e-9, 1e-300
"""By how much a range is made wider, in parts and at least: databases differ in the last digits of a float."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of these values, or, with `negated`, none of them or is not there."""

    field: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """The field is a number from `low` to `high`, both included; None is no bound."""

    field: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Two parts or more, joined by `and` or `or`."""

    op: str
    parts: tuple[Narrow, ...]


Narrow = OneOf | Within | Joined


def fields(attributes: Mapping[str, Any]) -> dict[str, str | float]:
    """The fields of an entry with these attributes. Their names are letters and digits."""
    out: dict[str, str | float] = {}
    for key, value in attributes.items():
        if (pair := kinded(value)) is not None:
            out[_equal(key)] = _token(pair)
            if pair[0] == "number":
                out[_number(key)] = float(pair[1])
    return out


def narrowed(where: Filter | None) -> Narrow | bool:
    """A filter as a condition on fields; True where it takes every entry as far as fields tell, False where none.

    Raises:
        InvalidRequest: see `_filters.checked`.
    """
    return True if where is None else _narrowed(checked(where))


def _narrowed(where: Filter) -> Narrow | bool:
    if isinstance(where, Comparison):
        return _comparison(where)
    joins = where.op == "and"
    parts: list[Narrow] = []
    for part in map(_narrowed, where.filters):
        if not isinstance(part, bool):
            parts.append(part)
        elif part is not joins:
            return part
    return Joined(where.op, tuple(parts)) if len(parts) > 1 else parts[0] if parts else joins


def _comparison(part: Comparison) -> Narrow | bool:
    if part.op in ("eq", "ne", "in", "nin"):
        given = part.value if part.op in ("in", "nin") else [part.value]
        tokens = {_token(pair) for value in given if (pair := kinded(value)) is not None}
        negated = part.op in ("ne", "nin")
        return OneOf(_equal(part.key), tuple(sorted(tokens)), negated) if tokens else negated
    pair = kinded(part.value)
    assert pair is not None
    if pair[0] != "number":
        return pair[0] == "text"
    number = float(pair[1])
    slack = abs(number) * MARGIN + LEAST
    bound = number - slack if part.op in ("gt", "gte") else number + slack
    if not math.isfinite(bound):
        return True
    return Within(_number(part.key), low=bound) if part.op in ("gt", "gte") else Within(_number(part.key), high=bound)


def _token(pair: Kinded) -> str:
    kind, value = pair
    if kind == "number" and float(value).is_integer():
        value = int(value)  # 1 and 1.0 are equal
    return digest(f"{kind} {value!r}" if kind == "number" else f"{kind} {value}")


def _equal(key: str) -> str:
    return f"e{digest(key)}"


def _number(key: str) -> str:
    return f"n{digest(key)}"


def digest(text: str) -> str:
    """32 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
