"""Named texts, as queries and forms have them: `name=a&name=b` and `name[]=a` are lists, `name[key]=a` is a mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from stack_core.errors import InvalidRequest

_BRACKETS = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")


def parse(query: str) -> dict[str, Any]:
    """Values by name.

    Raises:
        InvalidRequest: one name is given as a text and as a mapping.
    """
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        place(found, name, value)
    return found


def place(found: dict[str, Any], name: str, value: str) -> None:
    """Put one named text where it belongs."""
    brackets = _BRACKETS.fullmatch(name)
    if brackets and brackets[2]:
        inner = found.setdefault(brackets[1], {})
        if not isinstance(inner, dict):
            fault = {"loc": [brackets[1]], "msg": "given as a text and as a mapping", "type": "dict_type"}
            raise InvalidRequest(f"{brackets[1]}: given as a text and as a mapping", errors=[fault])
        inner[brackets[2]] = value
    elif brackets:
        _append(found, brackets[1], value)
    elif name in found:
        _append(found, name, value)
    else:
        found[name] = value


def _append(found: dict[str, Any], name: str, value: str) -> None:
    before = found.get(name, [])
    found[name] = [*(before if isinstance(before, list) else [before]), value]


def pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What `place` puts together again."""
    out: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, dict):
            out += [(f"{name}[{key}]", _text(item)) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            out += [(f"{name}[]", _text(item)) for item in value]
        else:
            out.append((name, _text(value)))
    return out


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
