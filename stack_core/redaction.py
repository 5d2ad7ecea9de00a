"""What must never be shown: values under secret names, and passwords and keys inside URLs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

MASK = "********"
_SECRET = re.compile(
    r"(^|_)(api_?keys?|key|tokens?|secret\w*|password|passwd|credential\w*|authorization|bearer|cookie|signature)$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r"(max|num|n|min|context|total|prompt|completion|input|output)_tokens?$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^/\s:@]*:)(?P<secret>[^/\s@]+)(?=@)", re.IGNORECASE)
_URL_ARGUMENT = re.compile(r"(?P<head>[?&](?P<name>[\w.-]+)=)(?P<secret>[^&#\s]+)")


def is_secret(name: str) -> bool:
    """Whether a field or header of this name holds a secret: `api_key`, `X-API-Key`, but not `max_tokens`."""
    plain = name.replace("-", "_")
    return bool(_SECRET.search(plain)) and not _NOT_SECRET.search(plain)


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
    return _masked_url(value) if isinstance(value, str) else value


def secrets_in(value: Any, name: str = "") -> set[str]:
    """The secret texts of at least six characters in plain data, for scrubbing what is emitted."""
    if isinstance(value, dict):
        return set().union(*(secrets_in(item, str(key)) for key, item in value.items())) if value else set()
    if isinstance(value, list | tuple):
        return set().union(*(secrets_in(item, name) for item in value)) if value else set()
    if not isinstance(value, str):
        return set()
    if is_secret(name):
        found = {value, value.rpartition(" ")[2]}  # `Bearer sk-…`: the key also stands alone
    else:
        found = {match["secret"] for match in _URL_PASSWORD.finditer(value)}
        found |= {match["secret"] for match in _URL_ARGUMENT.finditer(value) if is_secret(match["name"])}
    return {secret for secret in found if len(secret) >= 6}


def _masked_url(text: str) -> str:
    """Without the password before the host and the secrets after the question mark."""
    if "://" not in text:
        return text
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _URL_ARGUMENT.sub(lambda found: found["head"] + MASK if is_secret(found["name"]) else found[0], text)


def scrubber(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that masks known secrets wherever they stand; the longest first, since one may hold another."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if not known:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, known)))
    return lambda text: pattern.sub(MASK, text)
