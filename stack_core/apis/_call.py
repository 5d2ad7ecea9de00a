"""One call on its way through the door, and the shape of what wraps it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stack_core.apis._declare import Route


@dataclass(slots=True)
class Call:
    """One call on its way in. The lookup fills who serves it; `usage` and `trace_id` are filled on the way out."""

    route: Route
    args: dict[str, Any]
    provider_id: str | None = None
    model: str | None = None
    """The model as the caller named it."""
    upstream_model: str | None = None
    """The model's name at its provider."""
    usage: Any = None
    trace_id: str | None = None


Handler = Callable[[Call], Awaitable[Any]]
Middleware = Callable[[Call, Handler], Awaitable[Any]]


async def close(items: Any) -> None:
    """Close a stream that may be left early; one that has no end of its own (`aclose`) needs none."""
    ending = getattr(items, "aclose", None)
    if ending is not None:
        await ending()
