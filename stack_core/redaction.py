"""What must never be shown: values under secret names, and passwords inside URLs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

MASK = "********"
_SECRET = re.compile(
    r"(^|_)(api_?keys?|key|tokens?|api_token|secret\w*|password|passwd|credential\w*|auth_credential|authorization|bearer)$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r"(max|num|n|min|context|total|prompt|completion|input|output)_tokens?$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+(?=@)", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: `api_key`, `hf_token`, `password`, but not `max_tokens`."""
    return bool(_SECRET.search(name)) and not _NOT_SECRET.search(name)


def redact(value: Any, name: str = "") -> Any:
    """A copy of plain data in which secrets are masked; an unset secret stays visibly unset."""
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, name) for item in value]
    if value in (None, ""):
        return value
    if is_secret(name):
        return MASK
    return _URL_PASSWORD.sub(rf"\g<head>{MASK}", value) if isinstance(value, str) else value


def secrets_in(value: Any, name: str = "") -> set[str]:
    """The secret texts of at least six characters in plain data, for scrubbing what is emitted."""
    if isinstance(value, dict):
        return set().union(*(secrets_in(item, str(key)) for key, item in value.items())) if value else set()
    if isinstance(value, list | tuple):
        return set().union(*(secrets_in(item, name) for item in value)) if value else set()
    return {value} if isinstance(value, str) and len(value) >= 6 and is_secret(name) else set()


def scrubber(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that masks known secrets wherever they stand; the longest first, since one may hold another."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if not known:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, known)))
    return lambda text: pattern.sub(MASK, text)
