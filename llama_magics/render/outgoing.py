"""A result as plain data that may leave the kernel: JSON types only, no control characters, no secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

Scrub = Callable[[str], str]
Result = TypeVar("Result")

_DEEPEST = 40
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # device control and other strings
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor; and two-byte escapes
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without terminal escapes, control characters, direction overrides and lone surrogates.

    Overrides of the text's direction go because they can make a command read as another one.
    """
    if not _CONTROLS.search(text):
        return text
    text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("", text)


def outgoing(result: Result, scrub: Scrub) -> Result:
    """A copy of a result object whose leaves are strings (clean, scrubbed), numbers, booleans and None.

    Secrets are taken out here, before anything is cut or escaped: half a key is still a leak, and an escaped one
    would not be recognised.
    """
    return _copy(result, scrub, 0)  # type: ignore[no-any-return]  # a dataclass is replaced by its own type


def _copy(value: Any, scrub: Scrub, depth: int) -> Any:
    if isinstance(value, str):
        return scrub(clean(value))
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, float) or math.isfinite(value) else str(value)
    return "…" if depth > _DEEPEST else _copy_whole(value, scrub, depth + 1)


def _copy_whole(value: Any, scrub: Scrub, depth: int) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _copy(getattr(value, f.name), scrub, depth) for f in fields(value)})
    if isinstance(value, Mapping):
        return {scrub(clean(str(key))): _copy(item, scrub, depth) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_copy(item, scrub, depth) for item in value]
    return _copy(_plain(value), scrub, depth)


def _plain(value: Any) -> Any:
    """A foreign object as JSON types: a Pydantic model's data, a numpy scalar's number, else its text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def scrubbed(data: Any, scrub: Scrub) -> Any:
    """The strings of a finished bundle once more: escaping in the source can hide a secret that the view shows."""
    if isinstance(data, str):
        return scrub(data)
    if isinstance(data, dict):
        return {key: scrubbed(value, scrub) for key, value in data.items()}
    if isinstance(data, list):
        return [scrubbed(item, scrub) for item in data]
    return data
