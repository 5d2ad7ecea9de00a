"""The HTTP application, built from the declared routes."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from stack_core.apis._declare import Route
from stack_core.config import RunConfig, Server
from stack_core.errors import ConfigError, Unsupported
from stack_core.server.aliases import route_table
from stack_core.server.compression import Compressed
from stack_core.server.endpoint import Endpoint
from stack_core.server.metrics import Counted, Metrics
from stack_core.server.openapi import document
from stack_core.version import __version__
from stack_core.wire.service import Service

_CORS_FIELDS = {
    "allow_origins",
    "allow_origin_regex",
    "allow_methods",
    "allow_headers",
    "allow_credentials",
    "expose_headers",
    "max_age",
}
_LOCAL = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


class Served(Protocol):
    """What the application needs of a stack."""

    @property
    def config(self) -> RunConfig:
        """The run configuration it was opened with."""
        ...

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """The door."""
        ...


def create_app(stack: Served, metrics: Metrics | None = None) -> FastAPI:
    """An ASGI application that serves an open stack; it neither opens nor closes it.

    Args:
        metrics: counts the work; where other workers serve the same stack, it knows of them.

    Raises:
        Unsupported: the configuration asks for something of the server that this version cannot do.
        ConfigError: `server.cors` is wrong.
    """
    settings = stack.config.server
    check(settings)
    counted = metrics or Metrics()
    app = FastAPI(title="Llama Stack", version=__version__, redoc_url=None)
    if settings.compress:
        app.add_middleware(Compressed)
    if settings.cors:
        app.add_middleware(CORSMiddleware, **_cors(settings.cors))
    table = route_table()
    described = cache(lambda: document(table))
    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to give its own document
    # Not a mount: its pattern does not match a path with a line break, which would get FastAPI's own answer.
    app.router.redirect_slashes = False
    door = Counted(stack, counted)
    service = Service(
        door, table, stack.config.secrets(), limit=settings.request_timeout, most=settings.max_upload_bytes
    )
    app.router.default = Endpoint(service, settings, counted)
    return app


def check(server: Server) -> None:
    """Refuse what would otherwise be ignored: who wants a server that asks for tokens must not get one that does not.

    Raises:
        Unsupported: with the path in the run file.
    """
    # Who may do what (auth.access_policy) is the door's business and holds there; who asks is what is missing here.
    auth = {name for name, value in (server.auth or {}).items() if value and name != "access_policy"}
    for name, value in (("auth", auth), ("quota", server.quota)):
        if value:
            hint = f"remove server.{name}, and let a proxy in front of the server do it"
            raise Unsupported(f"server.{name} is not available in this version", hint)
    if bool(server.tls_certfile) != bool(server.tls_keyfile):
        missing = "tls_keyfile" if server.tls_certfile else "tls_certfile"
        raise ConfigError("TLS needs a certificate and its key", f"set server.{missing}", where=f"server.{missing}")


def _cors(cors: bool | dict[str, Any]) -> dict[str, Any]:
    """`true` lets pages from this machine in, whatever their port; a mapping says it in full."""
    if cors is True:
        return {"allow_origin_regex": _LOCAL, "allow_methods": ["*"], "allow_headers": ["*"]}
    given = dict(cors) if isinstance(cors, dict) else {}
    if unknown := given.keys() - _CORS_FIELDS:
        hint = f"it takes {', '.join(sorted(_CORS_FIELDS))}"
        raise ConfigError(f"unknown key {min(unknown)!r}", hint, where="server.cors")
    if given.get("allow_credentials") and "*" in given.get("allow_origins", []):
        raise ConfigError("credentials and the origin '*' together let every page in", where="server.cors")
    return given
