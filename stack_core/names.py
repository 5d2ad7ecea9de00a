"""The names of Llama Stack's client: `client.vector_stores.files.create(…)`, from the declarations.

Each route says its name (`sdk=`); beside them every method of every API has its own (`client.files.create_file`). What
comes back is what Llama Stack's client gives: a list that has no pages is the list itself, one that has pages can be
walked through to its end.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import cache
from typing import Any

from stack_core.apis import APIS, all_routes, protocol, routes_of
from stack_core.apis._declare import Route
from stack_core.errors import InvalidRequest, NotFound, ProviderTimeout, nearest

Invoke = Callable[[Route, tuple[Any, ...], dict[str, Any], bool], Any]
"""Carries out a call; the last argument says whether the result is shaped as Llama Stack's client has it."""
Door = Callable[[Route, dict[str, Any]], Awaitable[Any]]
_REFUSED = ("extra_headers", "extra_query")


@cache
def names() -> Mapping[str, Route]:
    """A method of Llama Stack's client → the route that it calls."""
    return {name: route for route in all_routes() for name in (route.sdk or "").split()}


def find_method(name: str) -> Route:
    """The route of `api.method`.

    Raises:
        NotFound: names the nearest.
        InvalidRequest: not of that form.
    """
    api, dot, method = name.partition(".")
    if not dot:
        known = [route.id for route in routes_of(protocol(api))][:3] if api in APIS else ["models.list_models"]
        raise InvalidRequest(f"{name!r} is not API.METHOD", f"such as {', '.join(known)}")
    routes = _own(api)
    if method not in routes:
        raise NotFound("method", name, [f"{api}.{known}" for known in routes])
    return routes[method]


class Names:
    """A point in the client's names; what is called at its end is one method of one API."""

    def __init__(self, invoke: Invoke, path: str = "") -> None:
        self._invoke, self._path = invoke, path

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}.{name}" if self._path else name
        # Their own names first: the others need every API imported.
        if self._path in APIS and (route := _own(self._path).get(name)) is not None:
            return self._method(route, shaped=False)
        if path in APIS:
            return Names(self._invoke, path)
        if path in names():
            return self._method(names()[path], shaped=True)
        if name in self._below():
            return Names(self._invoke, path)
        close = nearest(name, dir(self))
        raise AttributeError(f"no {path!r}" + (f"; did you mean {close[0]!r}?" if close else ""))

    def __dir__(self) -> list[str]:
        return sorted({*self._below(), *(_own(self._path) if self._path in APIS else ())})

    def __repr__(self) -> str:
        return f"client{'.' if self._path else ''}{self._path} ({', '.join(dir(self))})"

    def _below(self) -> set[str]:
        """The names that may follow here."""
        start = f"{self._path}." if self._path else ""
        following = {path[len(start) :].split(".", 1)[0] for path in names() if path.startswith(start)}
        return following if self._path else following | set(APIS)

    def _method(self, route: Route, *, shaped: bool) -> Any:
        invoke = self._invoke

        def call(*args: Any, **kwargs: Any) -> Any:
            return invoke(route, args, kwargs, shaped)

        call.__name__, call.__qualname__, call.__doc__ = route.name, route.sdk or route.id, route.doc
        params = _theirs(route) if shaped else route.params
        vars(call)["__signature__"] = inspect.Signature(params)  # what help() and completion show
        return call


def _own(api: str) -> dict[str, Route]:
    return {route.name: route for route in routes_of(protocol(api))}


async def carry_out(door: Door, route: Route, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, shaped: bool) -> Any:
    """One call by such a name.

    Args:
        kwargs: the route's arguments, and of Llama Stack's client's own options `extra_body` and `timeout` (seconds).

    Raises:
        InvalidRequest: an argument that the route does not have, or an option that means nothing here.
        ProviderTimeout: no answer within `timeout`.
    """
    given = dict(kwargs)
    if shaped:
        given, args = _named(route, args, given), ()
    for option in _REFUSED:
        if given.pop(option, None):
            hint = "per-request keys go into provider_data, fields of the body into extra_body"
            raise InvalidRequest(f"{route.id}: {option} has no meaning here", hint)
    seconds = given.pop("timeout", None) if "timeout" not in _fields(route) else None
    given |= given.pop("extra_body", None) or {}
    # What Llama Stack's and OpenAI's clients have for "not given" is a class of theirs: such an argument was not given.
    given = {name: value for name, value in given.items() if type(value).__name__ not in ("NotGiven", "Omit")}
    try:
        async with asyncio.timeout(seconds):
            result = await door(route, route.arguments(args, given))
    except TimeoutError as error:
        raise ProviderTimeout(f"{route.id} gave no answer within {seconds} s", "give it more time") from error
    return _shaped(door, route, args, given, result) if shaped else result


def _theirs(route: Route) -> tuple[inspect.Parameter, ...]:
    """The parameters in the order of Llama Stack's client, which begins with the last id of the URL: `file_id` before
    `vector_store_id`."""
    last = re.search(r"{(\w+)[^{]*$", route.path)
    return tuple(sorted(route.params, key=lambda param: last is None or param.name != last[1]))


def _named(route: Route, args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name, where some may stand in the order of Llama Stack's client."""
    names = [param.name for param in _theirs(route)][: len(args)]
    if len(args) > len(names):
        raise InvalidRequest(f"{route.sdk} takes at most {len(names)} positional arguments, not {len(args)}")
    if twice := given.keys() & set(names):
        raise InvalidRequest(f"{route.sdk}: {', '.join(sorted(twice))} given twice")
    return dict(zip(names, args, strict=True)) | given


def _fields(route: Route) -> set[str]:
    """Every argument's name, those inside the request model with them."""
    inner = route.request.model_fields if route.request is not None else {}
    return {param.name for param in route.params} | set(inner)


def _shaped(door: Door, route: Route, args: tuple[Any, ...], given: dict[str, Any], result: Any) -> Any:
    fields = getattr(type(result), "model_fields", {})
    if fields.keys() <= {"object", "data"} and "data" in fields:
        return result.data
    if "last_id" not in fields or "after" not in _fields(route):
        return result

    async def following(last_id: str) -> Any:
        return await carry_out(door, route, args, {**given, "after": last_id}, shaped=True)

    return Page(result, following)


class Page:
    """A page of a list with everything it holds, and the way to the next ones: `async for entry in page` walks through
    all entries from here on."""

    def __init__(self, result: Any, following: Callable[[str], Awaitable[Any]]) -> None:
        self._result, self._following = result, following

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)

    def has_next_page(self) -> bool:
        """Whether there is another page."""
        return bool(self._result.has_more and self._result.data)

    async def get_next_page(self) -> Page:
        """The next page.

        Raises:
            InvalidRequest: this one is the last.
        """
        if not self.has_next_page():
            raise InvalidRequest("this is the last page", "ask has_next_page() first")
        page: Page = await self._following(self._result.last_id)
        return page

    async def __aiter__(self) -> AsyncIterator[Any]:
        page = self
        while True:
            for entry in page.data:
                yield entry
            if not page.has_next_page():
                return
            page = await page.get_next_page()

    def __repr__(self) -> str:
        return repr(self._result)


class SyncPage:
    """As `Page`, for a caller who does not await."""

    def __init__(self, page: Page, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._page, self._run = page, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._page, name)

    def get_next_page(self) -> SyncPage:
        """The next page."""
        return SyncPage(self._run(self._page.get_next_page()), self._run)

    def __iter__(self) -> Iterator[Any]:
        page = self
        while True:
            yield from page.data
            if not page.has_next_page():
                return
            page = page.get_next_page()

    def __repr__(self) -> str:
        return repr(self._page)
