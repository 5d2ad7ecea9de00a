"""What belongs to one request and to no argument: who asks, with which keys. Trace parents live in OpenTelemetry's own
context, which is carried by the same mechanism."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class User:
    """Who calls. `attributes` are what an access rule may look at (roles, teams, projects)."""

    id: str
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


user: ContextVar[User | None] = ContextVar("stack_user", default=None)
provider_data: ContextVar[Mapping[str, Any]] = ContextVar("stack_provider_data", default={})  # noqa: B039 - never mutated
cell: ContextVar[Mapping[str, str | int]] = ContextVar("stack_cell", default={})  # noqa: B039 - never mutated

shared: ContextVar[bool] = ContextVar("stack_shared", default=False)
"""Whether other processes serve the same stack: what is kept in memory must then be held against its store at every
call."""

trace_id: ContextVar[list[str] | None] = ContextVar("stack_trace_id", default=None)
"""Set to a fresh list before a call, it gains the trace id (32 hex digits) of the call's root span."""


def owner() -> str | None:
    """Whose things a call sees and makes: the caller's id; None where nobody is known, who then sees all."""
    caller = user.get()
    return caller.id if caller else None


@contextmanager
def request_scope(*, caller: User | None = None, data: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Everything called inside runs for `caller`, with the per-request provider keys in `data`
    (the content of the `X-LlamaStack-Provider-Data` header, such as `{"openai_api_key": "…"}`)."""
    who, what = user.set(caller), provider_data.set(data or {})
    try:
        yield
    finally:
        user.reset(who)
        provider_data.reset(what)
