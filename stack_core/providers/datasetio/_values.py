"""Values of tables as JSON has them."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID


def plain(value: Any) -> Any:
    """The value as JSON can say it: no NaN (null), times as ISO 8601, durations in seconds, decimals as their text,
    bytes as text where they are UTF-8, else in base64, maps and arrays of any kind as objects and lists."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()  # half a pair is no character
    if isinstance(value, Mapping):
        return {plain(str(name)): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    for kinds, convert in _CONVERT.items():
        if isinstance(value, kinds):
            return convert(value)
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


_CONVERT: dict[type | tuple[type, ...], Callable[[Any], Any]] = {
    float: lambda value: float(value) if math.isfinite(value) else None,
    (datetime, date, time): lambda value: value.isoformat(),
    timedelta: lambda value: value.total_seconds(),
    (bytes, bytearray): lambda value: _text(bytes(value)),
    (Decimal, UUID): str,
}
