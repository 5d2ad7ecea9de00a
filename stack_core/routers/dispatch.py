"""The one door. Every call of every API, from a cell, the client, the server or a provider, goes through `call`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from stack_core.apis._call import Call, Handler, Middleware
from stack_core.apis._declare import Route
from stack_core.errors import Unsupported


class Lookup(Protocol):
    """Says who serves a call: fills `provider_id`, puts the provider's own id into the arguments, gives the object."""

    async def __call__(self, call: Call) -> Any: ...


class Dispatcher:
    """The door in process: middleware in the order of the list, outermost first, then the lookup, then the provider.

    Args:
        lookup: key of a route (`model`, …) → how its resource is found.
        answering: API → the object that answers its routes without a key.
        middleware: what wraps every call.
    """

    def __init__(
        self,
        lookup: Callable[[str], Lookup],
        answering: Callable[[str], Any],
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self._lookup, self._answering = lookup, answering
        self._handler: Handler = self._invoke
        for step in reversed(middleware):
            self._handler = _wrap(step, self._handler)

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """Carry out a route with checked arguments; gives the result or an async iterator of items."""
        return await self._handler(Call(route, args))

    async def _invoke(self, call: Call) -> Any:
        route = call.route
        if route.key is None:
            target = self._answering(route.api)
        else:
            target = await self._lookup(route.key)(call)
        method = getattr(target, route.name, None)
        if method is None or method.__func__ is getattr(_protocol_of(target, route), route.name, None):
            raise Unsupported(f"{call.provider_id or 'no provider'} does not serve {route.id}")
        return await method(**call.args)


def _wrap(step: Middleware, proceed: Handler) -> Handler:
    async def handler(call: Call) -> Any:
        return await step(call, proceed)

    return handler


def _protocol_of(target: Any, route: Route) -> Any:
    """The Protocol class that `target` inherits from: a method that it did not override is not there."""
    for base in type(target).__mro__:
        if getattr(base, "_is_protocol", False) and base.__module__.endswith(f".{route.api}"):
            return base
    return None
