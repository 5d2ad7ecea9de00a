"""The object that users and providers call: an API's methods, each going through one door."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from stack_core.apis import APIS, protocol
from stack_core.apis._declare import Route, routes_of
from stack_core.errors import nearest


class Door(Protocol):
    """Where a call goes in: the dispatcher in process, or a server over HTTP."""

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """Carry out `route` with checked arguments; gives the result, or an async iterator of its items."""


class Bound:
    """An API behind a door: `await bound.method(field=…)` or `await bound.method(RequestModel(…))`."""

    def __init__(self, api: type, door: Door) -> None:
        self._routes = {route.name: route for route in routes_of(api)}
        for route in self._routes.values():
            setattr(self, route.name, _method(route, door))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        close = nearest(name, self._routes)
        raise AttributeError(f"no method {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))

    def __dir__(self) -> list[str]:
        return sorted(self._routes)


def _method(route: Route, door: Door) -> Callable[..., Awaitable[Any]]:
    async def method(*args: Any, **kwargs: Any) -> Any:
        return await door.call(route, route.arguments(args, kwargs))

    method.__name__, method.__qualname__, method.__doc__ = route.name, route.id, route.doc
    method.__signature__ = inspect.Signature(route.params)  # type: ignore[attr-defined]  # what help() and completion show
    return method


class ApiHolder(ABC):
    """Whatever has the APIs as attributes: an open stack, a client. A subclass is the door of its own APIs."""

    @abstractmethod
    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """Carry out a route (see `Door`)."""

    def __getattr__(self, name: str) -> Bound:
        if name in APIS:
            bound = self.__dict__[name] = Bound(protocol(name), self)
            return bound
        close = nearest(name, APIS)
        raise AttributeError(f"no API {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *APIS]
