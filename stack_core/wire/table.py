"""Which route answers a verb and a path: compiled once from the declarations and the alias rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from stack_core.apis._declare import Route
from stack_core.errors import MethodNotAllowed, NotFound


@dataclass(frozen=True)
class Alias:
    """A spelling that still answers: `old` stands for `new` at the beginning of a URL, in the routes of `apis`
    (of any API where empty); `verb`, where given, stands for the route's own in routes of the verb `of`."""

    old: str
    new: str
    apis: tuple[str, ...] = ()
    verb: str = ""
    of: str = ""

    def url(self, route: Route) -> str | None:
        """The route's URL in this spelling, or None where the row does not concern it."""
        inside = route.url == self.new or route.url.startswith(f"{self.new}/")
        if not inside or (self.apis and route.api not in self.apis) or (self.of and route.verb != self.of):
            return None
        return self.old + route.url.removeprefix(self.new)


class RouteTable:
    """Finds the route of a request.

    Args:
        routes: what is declared.
        aliases: further spellings. A declared URL always wins over an alias.
    """

    def __init__(self, routes: Iterable[Route], aliases: Iterable[Alias] = ()) -> None:
        self.routes = list(routes)
        self.aliased = [
            (alias.verb or route.verb, url, route)
            for alias in aliases
            for route in self.routes
            if (url := alias.url(route))
        ]
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for verb, url, route in [*((route.verb, route.url, route) for route in self.routes), *self.aliased]:
            self._verbs(url).setdefault(verb, route)
        # The longest literal beginning first, so that `/models/{id:path}` never hides a more exact route.
        self._ordered = [self._patterns[url] for url in sorted(self._patterns, key=_exactness, reverse=True)]

    def match(self, verb: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path arguments; `path` is as it was sent, still percent-encoded. HEAD asks for what GET
        would say, and whoever sends the reply leaves its body out.

        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: one has, but not with this verb.
        """
        path = path[:-1] if path.endswith("/") and len(path) > 1 else path
        allowed: set[str] = set()
        for verbs, found in self._candidates(path):
            route = verbs.get("GET" if verb == "HEAD" else verb)
            if route is not None:
                return route, {name: unquote(value) for name, value in found.items()}
            allowed |= verbs.keys()
        if allowed:
            raise MethodNotAllowed(verb, unquote(path), allowed)
        raise NotFound("route", f"{verb} {unquote(path)}", hint="GET /v1/inspect/routes lists all routes")

    def _candidates(self, path: str) -> Iterator[tuple[dict[str, Route], dict[str, str]]]:
        if path in self._plain:
            yield self._plain[path], {}
        for pattern, verbs in self._ordered:
            if match := pattern.fullmatch(path):
                yield verbs, match.groupdict()

    def _verbs(self, url: str) -> dict[str, Route]:
        if "{" not in url:
            return self._plain.setdefault(url, {})
        return self._patterns.setdefault(url, (_pattern(url), {}))[1]


def openapi_path(url: str) -> str:
    """`/models/{model_id}` for `/models/{model_id:path}`."""
    return url.replace(":path}", "}")


def _pattern(url: str) -> re.Pattern[str]:
    """`{name}` is one segment, `{name:path}` one or more."""
    parts = re.split(r"({\w+(?::path)?})", url)
    return re.compile("".join(_group(part) if part.startswith("{") else re.escape(part) for part in parts))


def _group(brace: str) -> str:
    name, _, kind = brace.strip("{}").partition(":")
    return f"(?P<{name}>.+)" if kind else f"(?P<{name}>[^/]+)"


def _exactness(url: str) -> tuple[bool, int]:
    """Routes with single segments before those with paths, then by how much of the URL is literal."""
    return ":path}" not in url, len(re.sub(r"{[^}]*}", "", url))
