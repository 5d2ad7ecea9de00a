"""Errors on the wire: a typed error becomes a body that both official clients read, and a body becomes a typed error.

`{"detail": "…", "error": {"message", "type", "code", "param", "hint", "detail", "data"}}`: Llama Stack's clients read
`detail` and `error.detail.errors`, OpenAI's read `error.message`, `type`, `code`, `param`, ours `code`, `hint`, `data`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic_core import from_json, to_json

from stack_core.errors import (
    AccessDenied,
    AuthenticationRequired,
    BudgetReached,
    ConfigError,
    Conflict,
    InvalidRequest,
    MethodNotAllowed,
    MissingPackage,
    NotFound,
    PayloadTooLarge,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StackError,
    Unsupported,
)
from stack_core.redaction import MASK

_BY_STATUS: dict[int, type[StackError]] = {
    400: InvalidRequest,
    401: AuthenticationRequired,
    402: BudgetReached,
    403: AccessDenied,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: PayloadTooLarge,
    422: InvalidRequest,
    429: RateLimited,
    501: Unsupported,
    502: ProviderError,
    503: ProviderUnavailable,
    504: ProviderTimeout,
}
"""What to raise for the answer of a server that sends no code of ours."""

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""OpenAI's error types by status; other 4xx are `invalid_request_error`, 5xx `server_error`."""

_FACTS: dict[type[StackError], dict[str, Any]] = {
    ConfigError: {"where": None},
    MissingPackage: {"package": ""},
    InvalidRequest: {"errors": []},
    NotFound: {"kind": "", "id": "", "nearest": []},
    ProviderError: {"provider_id": "", "upstream_status": None},
    RateLimited: {"retry_after": None},
}
"""What an error of each class knows besides its message, with what stands there when the server did not say."""


def body_of(error: StackError, secrets: Iterable[str] = ()) -> bytes:
    """The JSON body of an error, with `secrets` masked wherever they stand."""
    facts = {name: getattr(error, name, default) for name, default in _facts(type(error)).items()}
    errors = facts.pop("errors", [])
    inner: dict[str, Any] = {
        "message": error.message,
        "type": _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "server_error"),
        "code": error.code,
        "param": ".".join(map(str, errors[0]["loc"])) if errors else None,
        "hint": error.hint,
    }
    if errors:
        inner["detail"] = {"errors": [{"loc": e["loc"], "msg": e["msg"], "type": e["type"]} for e in errors]}
    if facts:
        inner["data"] = facts
    return scrubbed(to_json({"detail": error.message, "error": inner}), secrets)


def scrubbed(text: bytes, secrets: Iterable[str]) -> bytes:
    """`text` with every secret masked."""
    for secret in secrets:
        text = text.replace(secret.encode(), MASK.encode())
    return text


def headers_of(error: StackError) -> list[tuple[str, str]]:
    """Headers that belong to an error: `Retry-After` (whole seconds, rounded up) and `Allow`."""
    if isinstance(error, RateLimited) and error.retry_after is not None:
        return [("retry-after", str(-int(-error.retry_after // 1)))]
    if isinstance(error, MethodNotAllowed):
        return [("allow", ", ".join(error.allowed))]
    return []


def error_of(status: int, body: bytes, *, retry_after: float | None = None, allow: str = "") -> StackError:
    """The typed error behind an answer. One of our servers names the class by its code; of another, the status decides.

    Args:
        status: 0 for an error inside a stream, where the answer had begun as a good one.
        retry_after: seconds that the answer's headers ask to wait.
        allow: the answer's `Allow` header.
    """
    try:
        content = from_json(body)
    except ValueError:
        content = {"detail": body.decode("utf-8", "replace").strip()[:500]}
    inner = content.get("error") if isinstance(content, dict) else None
    inner = inner if isinstance(inner, dict) else {"message": inner} if isinstance(inner, str) else {}
    kind = _by_code().get(str(inner.get("code"))) or _BY_STATUS.get(status) or _by_range(status)
    detail = content.get("detail") if isinstance(content, dict) else None
    message = inner.get("message") or (detail if isinstance(detail, str) else None) or f"the server answered {status}"
    error = kind.__new__(kind)
    StackError.__init__(error, str(message), inner.get("hint"))
    _tell(error, inner)
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = retry_after
    if isinstance(error, MethodNotAllowed):
        error.allowed = sorted(word.strip() for word in allow.split(",") if word.strip())
    return error


def _tell(error: StackError, inner: Mapping[str, Any]) -> None:
    """Put onto the error what the body says besides the message."""
    data = inner.get("data")
    said = dict(data) if isinstance(data, dict) else {}
    detail = inner.get("detail")
    if isinstance(detail, dict) and isinstance(detail.get("errors"), list):
        said["errors"] = detail["errors"]
    for name, default in _facts(type(error)).items():
        setattr(error, name, said.get(name, default))


def _facts(kind: type[StackError]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        found |= _FACTS.get(base, {})
    return {name: list(value) if isinstance(value, list) else value for name, value in found.items()}


def _by_range(status: int) -> type[StackError]:
    return InvalidRequest if 400 <= status < 500 else StackError


@cache
def _by_code() -> dict[str, type[StackError]]:
    """Code → class. `RequestError` is only the parent of those that are raised."""
    found: dict[str, type[StackError]] = {}
    for kind in _tree(StackError):
        found.setdefault(kind.code, kind)
    found["invalid_request"] = InvalidRequest
    return found


def _tree(kind: type[StackError]) -> Iterator[type[StackError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)
