"""The only error tree.

    StackError 500
      ConfigError 400                 the run file, the short form or the environment is wrong
        UnknownProvider, MissingCredential, MissingPackage, DependencyCycle, StoreUnavailable, PortInUse
      RequestError                    the caller can fix it
        InvalidRequest 400, AuthenticationRequired 401, AccessDenied 403, NotFound 404 (UnknownId 400),
        MethodNotAllowed 405,
        Conflict 409, BudgetReached 402, PayloadTooLarge 413, Unsupported 501
      ProviderError 502               the service behind a provider failed
        ProviderAuthFailed 401, RateLimited 429, ContextTooLong 400, ContentFiltered 400,
        ProviderTimeout 504, ProviderUnavailable 503

The HTTP status and the machine-readable code live on the class; the message says what happened and where, the hint what
to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar


class StackError(Exception):
    """Something went wrong in the stack; `message` says what and where, `hint` how to mend it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(StackError):
    """A configuration that cannot work; `where` is a path into it such as `providers.inference[0].config.url`."""

    status = 400
    code = "invalid_config"

    def __init__(self, message: str, hint: str | None = None, *, where: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint)
        self.where = where


class UnknownProvider(ConfigError):
    """No provider has this type."""

    code = "unknown_provider"


class MissingCredential(ConfigError):
    """A key that the provider needs is set nowhere."""

    status = 401
    code = "missing_credential"


class MissingPackage(ConfigError):
    """An optional package is not installed; the hint is the command that installs it."""

    status = 501
    code = "missing_package"

    def __init__(self, package: str, *, needed_by: str, extra: str | None = None) -> None:
        target = f"'llama-magics[{extra}]'" if extra else package
        super().__init__(f"{needed_by} needs the package {package!r}, which is not installed", f"pip install {target}")
        self.package = package


class DependencyCycle(ConfigError):
    """Providers need each other in a circle."""

    code = "dependency_cycle"


class StoreUnavailable(ConfigError):
    """A store cannot be opened or written."""

    status = 503
    code = "store_unavailable"


class PortInUse(ConfigError):
    """Another program listens on the port."""

    code = "port_in_use"


class RequestError(StackError):
    """The caller can fix this."""

    status = 400
    code = "invalid_request"


class InvalidRequest(RequestError):
    """The arguments are wrong; `errors` has one entry a fault: `loc` (path), `msg`, `type`."""

    def __init__(self, message: str, hint: str | None = None, *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message, hint)
        self.errors = errors or []


class AuthenticationRequired(RequestError):
    """Who calls is not known."""

    status = 401
    code = "authentication_required"


class AccessDenied(RequestError):
    """Who calls may not do this."""

    status = 403
    code = "access_denied"


class NotFound(RequestError):
    """No resource of this kind has this id; names the nearest ids that exist."""

    status = 404
    code = "not_found"

    def __init__(self, kind: str, id: str, known: Iterable[str] = (), hint: str | None = None) -> None:
        names = list(known)
        close = nearest(id, names) or nearest(id.rpartition("/")[2], names)
        if close:
            hint = hint or f"did you mean {' or '.join(close)}?"
        elif names:
            hint = hint or f"there is {', '.join(names[:6])}{' and more' if len(names) > 6 else ''}"
        super().__init__(f"{kind} {id!r} not found", hint)
        self.kind, self.id, self.nearest = kind, id, close


class UnknownId(NotFound):
    """As `NotFound`, for those kinds whose clients expect a 400: vector stores, file batches, responses,
    conversations, shields (Llama Stack 0.3.5)."""

    status = 400
    code = "unknown_id"


class Conflict(RequestError):
    """The state of the resource does not allow this."""

    status = 409
    code = "conflict"


class MethodNotAllowed(RequestError):
    """The route exists, but not with this verb; `allowed` are those it has."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, verb: str, path: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(f"{path} does not answer {verb}", f"it answers {', '.join(self.allowed)}")


class PayloadTooLarge(RequestError):
    """The body of the request is over the server's limit."""

    status = 413
    code = "payload_too_large"


class BudgetReached(RequestError):
    """The budget of the stack is spent."""

    status = 402
    code = "budget_reached"


class Unsupported(RequestError):
    """Nothing here can do this; names what is missing."""

    status = 501
    code = "unsupported"


class ProviderError(StackError):
    """A service failed. `provider_id` is ours, `upstream_status` the HTTP status it gave, if it gave one."""

    status = 502
    code = "provider_error"

    def __init__(
        self, message: str, hint: str | None = None, *, provider_id: str = "", upstream_status: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.provider_id, self.upstream_status = provider_id, upstream_status


class ProviderAuthFailed(ProviderError):
    """The service refused the key."""

    status = 401
    code = "provider_auth_failed"


class RateLimited(ProviderError):
    """The service asks to slow down; `retry_after` is in seconds where it said so."""

    status = 429
    code = "rate_limited"
    retry_after: float | None = None


class ContextTooLong(ProviderError):
    """The prompt does not fit the model's context."""

    status = 400
    code = "context_length_exceeded"


class ContentFiltered(ProviderError):
    """The service's own filter refused the content."""

    status = 400
    code = "content_filter"


class ProviderTimeout(ProviderError):
    """The service did not answer in time."""

    status = 504
    code = "provider_timeout"


class ProviderUnavailable(ProviderError):
    """The service cannot be reached, or says that it is down."""

    status = 503
    code = "provider_unavailable"


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words that look most like `word`, best first; empty when none is close."""
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    hits = get_close_matches(word.lower(), by_lower, n=most, cutoff=0.6)
    if not hits:
        hits = [low for low in by_lower if word and (word.lower() in low or low in word.lower())][:most]
    return [by_lower[hit] for hit in hits]
