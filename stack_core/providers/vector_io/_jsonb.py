"""Filters as PostgreSQL's SQL over a `jsonb` column, and text as PostgreSQL keeps it.

PostgreSQL keeps no NUL in a text, so U+0000 and U+0001 are kept as U+0001 U+0001 and U+0001 U+0002: their order stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from stack_core.apis.vector_io import Comparison, Filter
from stack_core.providers.vector_io._filters import Kinded, checked, kinded

_ESCAPED = re.compile("[\0\1]")
_ESCAPE = re.compile("\1[\1\2]")
_SIGN = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def kept(text: str) -> str:
    """A text as it goes into the database."""
    return _ESCAPED.sub(lambda found: "\1" + chr(ord(found[0]) + 1), text)


def given(text: str) -> str:
    """A text as it was given."""
    return _ESCAPE.sub(lambda pair: chr(ord(pair[0][1]) - 1), text)


def to_jsonb(attributes: Mapping[str, Any]) -> str:
    """Attributes as the JSON text of the column."""
    pairs = {kept(key): _plain(pair) for key, value in attributes.items() if (pair := kinded(value)) is not None}
    return json.dumps(pairs, ensure_ascii=False)


def from_jsonb(text: str) -> dict[str, Any]:
    """Attributes out of the column."""
    return {given(key): _given(value) for key, value in json.loads(text).items()}


def to_postgres(where: Filter, column: str, values: list[Any]) -> str:
    """A condition for PostgreSQL. Its parameters are added to `values`.

    Raises:
        InvalidRequest: see `_filters.checked`.
    """
    return _postgres(checked(where), column, values)


def _postgres(where: Filter, column: str, values: list[Any]) -> str:
    if isinstance(where, Comparison):
        return _comparison(where, column, values)
    parts = [_postgres(part, column, values) for part in where.filters]
    if not parts:
        return "true" if where.op == "and" else "false"
    return f"({f' {where.op} '.join(parts)})"


def _comparison(part: Comparison, column: str, values: list[Any]) -> str:
    if part.op in _SIGN and isinstance(part.value, bool):  # truth has no order
        return "false"
    found = f"{column} -> {_parameter(values, kept(part.key))}::text"
    if part.op in ("in", "nin"):
        listed = json.dumps([_plain(pair) for value in part.value if (pair := kinded(value)) is not None])
        among = f"{found} IN (SELECT jsonb_array_elements({_parameter(values, listed)}::text::jsonb))"
        return f"coalesce({among}, false)" if part.op == "in" else f"NOT coalesce({among}, false)"
    pair = kinded(part.value)
    assert pair is not None
    if part.op in ("eq", "ne"):
        wanted = f"{_parameter(values, json.dumps(_plain(pair)))}::text::jsonb"
        return f"{found} IS {'NOT ' if part.op == 'eq' else ''}DISTINCT FROM {wanted}"
    if pair[0] == "number":
        wanted = f"{_parameter(values, json.dumps(_plain(pair)))}::text::jsonb"
        return f"(jsonb_typeof({found}) = 'number' AND {found} {_SIGN[part.op]} {wanted})"
    as_text = f'({found.replace(" -> ", " ->> ")}) COLLATE "C"'
    return (
        f"(jsonb_typeof({found}) = 'string' AND {as_text} {_SIGN[part.op]} {_parameter(values, kept(pair[1]))}::text)"
    )


def _parameter(values: list[Any], value: Any) -> str:
    values.append(value)
    return f"${len(values)}"


def _plain(pair: Kinded) -> Any:
    """A value as JSON has it. Whole numbers go as whole: PostgreSQL compares the digits that are written, and those of
    a great float are not its exact value."""
    kind, value = pair
    if kind == "text":
        return kept(value)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


def _given(value: Any) -> Any:
    if isinstance(value, str):
        return given(value)
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value
