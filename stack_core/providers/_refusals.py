"""What services answer when they refuse or fail, as our errors: by status first, then by the body of any shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from stack_core.errors import (
    Conflict,
    ContentFiltered,
    ContextTooLong,
    InvalidRequest,
    NotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StackError,
    Unsupported,
)
from stack_core.http import ConnectError, HTTPError, InvalidURL, TimeoutException, retry_after

LONGEST = 500
_NO_STATUS = 0
"""What an error inside a stream has that names neither a status nor a known type."""
_CONTEXT = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|exceed_context|too many (input )?tokens|prompt is too long|"
    r"longer than the (model|maximum)|maximum (input|prompt|sequence) length|max_total_tokens",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content_?filter|content_policy|ResponsibleAIPolicy|content management policy", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model_not_found|model.{0,200}(not found|does not exist|not exist|unknown|not available|not supported on this)|"
    r"(unknown|no such|invalid) model|deployment.{0,80}(not found|does not exist)|model_not_supported",
    re.IGNORECASE | re.DOTALL,
)
_BAD_KEY = re.compile(r"api[ _]?key (is )?(not valid|invalid|expired)|API_KEY_INVALID|invalid api key", re.IGNORECASE)
_RATE = re.compile(r"rate[ _-]?limit|tokens per (minute|day)|RESOURCE_EXHAUSTED|quota", re.IGNORECASE)
_NAMED_STATUS = {
    "rate_limit_error": 429, "rate_limit_exceeded": 429, "throttlingException": 429, "insufficient_quota": 429,
    "authentication_error": 401, "permission_error": 403, "billing_error": 402, "not_found_error": 404,
    "invalid_request_error": 400, "invalid_request": 400, "validationException": 400, "BadRequestError": 400,
    "context_length_exceeded": 400, "content_filter": 400, "request_too_large": 413, "timeout_error": 504,
    "overloaded_error": 529, "serviceUnavailableException": 503, "modelStreamErrorException": 500,
    "overloaded": 503, "service_unavailable": 503, "unavailable_error": 503, "NotFoundError": 404,
}  # fmt: skip
"""Names that stand in place of a status inside a stream, where the HTTP status was 200 already."""


class About(NamedTuple):
    """Which call failed: the model it asked for, and what must not show up in the message."""

    model: str = ""
    secrets: tuple[str, ...] = ()


class Refusals:
    """Turns one provider's failures into errors. Known secrets are cut out of everything that a service echoes."""

    def __init__(self, provider_id: str, hint: str = "") -> None:
        self._id, self._hint = provider_id, hint

    def from_response(self, status: int, body: bytes, headers: Mapping[str, str], about: About) -> StackError:
        """The error for an answer with a status of 300 and above."""
        try:
            payload = from_json(body)
        except ValueError:
            payload = None
        return self._sort(status, payload, body.decode("utf-8", "replace"), about, retry_after(headers))

    def from_payload(self, payload: Any, about: About) -> StackError:
        """The error for an error object that came after a status of 200."""
        names = [_dig(payload, key) for key in ("code", "status_code", "status", "type", "error_type")]
        numbers = [int(name) for name in names if str(name).isdigit() and 400 <= int(name) < 600]
        named = [_NAMED_STATUS[name] for name in names if isinstance(name, str) and name in _NAMED_STATUS]
        return self._sort((numbers or named or [_NO_STATUS])[0], payload, "", about, None)

    def from_network(self, error: HTTPError | InvalidURL, address: str, *, streaming: bool = False) -> ProviderError:
        """The error for a connection that could not be made or broke."""
        if isinstance(error, TimeoutException) and not isinstance(error, ConnectError):
            kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
            return ProviderTimeout(
                f"{self._id} at {address} did not answer in time ({kind})",
                "try again, or set a longer network.timeout",
                provider_id=self._id,
            )
        if streaming:
            return ProviderUnavailable(
                f"the connection to {self._id} at {address} broke in the middle of the answer",
                "ask again; what came before is kept",
                provider_id=self._id,
            )
        hint = f"start it with: {self._hint}" if self._hint else "check the address and the network"
        reason = "" if isinstance(error, ConnectError) else f" ({_shorten(str(error) or type(error).__name__)})"
        return ProviderUnavailable(f"cannot reach {self._id} at {address}{reason}", hint, provider_id=self._id)

    def unreadable(self, what: str, model: str) -> ProviderError:
        """The error for an answer that is not what the protocol promises."""
        return ProviderError(f"{self._id} ({model}) gave an answer that cannot be read: {what}", provider_id=self._id)

    def _sort(self, status: int, payload: Any, text: str, about: About, wait: float | None) -> StackError:
        said = _shorten(_scrub(message_of(payload) or _plain(text), about.secrets))
        clues = f"{said} {_dig(payload, 'code')} {_dig(payload, 'type')} {_dig(payload, 'reason')}"
        kind = _kind(status, clues)
        if kind is NotFound:
            return NotFound("model", about.model, hint=f"{self._id} says: {said}")
        message = f"{self._id}{f' ({about.model})' if about.model else ''}: {said or f'HTTP status {status}'}"
        hint = _HINTS.get(kind) or _STATUS_HINTS.get(status)
        if not issubclass(kind, ProviderError):
            return kind(message, hint)
        error = kind(message, hint, provider_id=self._id, upstream_status=status or None)
        if isinstance(error, RateLimited) and wait is not None:
            error.retry_after, error.hint = wait, f"wait {wait:g} s and ask again"
        return error


_REFUSED = {_NO_STATUS, 400, 404, 413, 422, 500}
_RULES: list[tuple[set[int], re.Pattern[str] | None, type[StackError]]] = [
    (_REFUSED, _CONTEXT, ContextTooLong),
    (_REFUSED, _FILTERED, ContentFiltered),
    ({401, 403}, None, ProviderAuthFailed),
    ({400}, _BAD_KEY, ProviderAuthFailed),
    ({429}, None, RateLimited),
    ({413}, _RATE, RateLimited),
    ({400, 404, 422}, _NO_MODEL, NotFound),
    ({408, 504, 522, 524}, None, ProviderTimeout),
    ({502, 503, 520, 521, 523, 529}, None, ProviderUnavailable),
    ({400, 405, 413, 415, 422}, None, InvalidRequest),
    ({409}, None, Conflict),
    ({501}, None, Unsupported),
]
"""The first row whose statuses and pattern fit decides; anything else is a ProviderError."""
_HINTS: dict[type[StackError], str] = {
    ContextTooLong: "shorten the prompt, or choose a model with a longer context",
    ContentFiltered: "reword the request",
    ProviderAuthFailed: "check the key of this provider",
    RateLimited: "wait and ask again",
    ProviderUnavailable: "try again in a moment",
}
_STATUS_HINTS = {
    402: "the account at the service has no credit left",
    404: "check the address of this provider: the path does not exist there",
}


def _kind(status: int, clues: str) -> type[StackError]:
    for statuses, pattern, kind in _RULES:
        if status in statuses and (pattern is None or pattern.search(clues)):
            return kind
    return ProviderError


def error_in(payload: Any) -> bool:
    """Whether an object that came with status 200 says that something failed."""
    if not isinstance(payload, dict):
        return False
    if payload.get("error") or payload.get("type") == "error":
        return True
    if payload.get("object") == "error":
        return True
    if "choices" in payload or "data" in payload:
        return False
    return bool(payload.get("errors") or payload.get("error_code") or ("message" in payload and "code" in payload))


def message_of(payload: Any) -> str:
    """What a service says went wrong, out of any of the shapes in use."""
    if isinstance(payload, list):
        return "; ".join(filter(None, map(message_of, payload[:5])))
    if isinstance(payload, str):
        return payload
    if not isinstance(payload, dict):
        return ""
    for key in ("error", "errors", "message", "msg", "detail", "title"):
        if text := message_of(payload.get(key)):
            place = payload.get("loc")
            return f"{'.'.join(map(str, place))}: {text}" if key == "msg" and isinstance(place, list) else text
    return ""


def _dig(payload: Any, key: str) -> Any:
    """The innermost `key` of an error object, "" where there is none."""
    if isinstance(payload, list):
        return _dig(payload[0], key) if payload else ""
    if not isinstance(payload, dict):
        return ""
    for wrapper in ("error", "errors", "details"):
        if isinstance(payload.get(wrapper), (dict, list)) and (found := _dig(payload[wrapper], key)):
            return found
    return payload.get(key) or (payload.get("error_code") if key == "code" else "") or ""


def _plain(text: str) -> str:
    """The words of a body that is not JSON, such as a proxy's HTML page."""
    return re.sub(r"\s+", " ", re.sub(r"<(style|script|head).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)).strip()


def _scrub(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "********")
    return re.sub(r"(?i)\b(bearer\s+)[\w.~+/-]{8,}=*", r"\1********", text)


def _shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
