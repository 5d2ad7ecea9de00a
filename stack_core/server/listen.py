"""The socket, and the HTTP server on it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException

import uvicorn
from pydantic_core import from_json

from stack_core.errors import ConfigError, PortInUse

MOST_FILES = 65_536
"""Connections and files that a server may have open at once, where the system allows so many."""


class Server(uvicorn.Server):
    """uvicorn, ended by `stop` alone: its own signal handlers raise the signal again, and the exit status is not 0.

    `ready` is called when connections are answered.
    """

    ready: Callable[[], None]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs the server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen.

        Raises:
            PortInUse: another program was quicker.
        """
        try:
            await super().startup(sockets)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not sockets:
                raise
            raise in_use(*sockets[0].getsockname()[:2]) from error
        self.ready()

    def stop(self) -> None:
        """End gracefully; the second time at once."""
        self.force_exit, self.should_exit = self.should_exit, True


def bind(host: str, port: int) -> socket.socket:
    """A socket on an address of this machine; nobody can connect until the server listens.

    Raises:
        PortInUse: another program listens there.
        ConfigError: this machine has no such address, or the user may not use the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        hint = "--host 127.0.0.1 for this machine only, 0.0.0.0 for all"
        raise ConfigError(f"{host!r} is not an address of this machine", hint) from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise in_use(host, port) from error
        hint = "ports under 1024 belong to root; choose --port 8321" if port < 1024 else "choose another --host"
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", hint) from error
    return listener


def allow_connections() -> None:
    """Let this process have as many connections as the system lets it: many systems begin with 1,024."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def in_use(host: str, port: int) -> PortInUse:
    """The error that says who holds the port, as far as asking it tells."""
    near = "127.0.0.1" if _is_any(host) else host
    connection = HTTPConnection(near, port, timeout=1)
    try:
        connection.request("GET", "/v1/version")
        version = from_json(connection.getresponse().read())["version"]
        holder = f"a stack (version {version}) already answers at http://{near}:{port}"
    except (OSError, HTTPException, ValueError, TypeError, KeyError):
        holder = "another program listens there"
    finally:
        connection.close()
    return PortInUse(f"port {port} is in use: {holder}", f"choose another port: --port {port + 1}")


def url_of(listener: socket.socket, *, secure: bool) -> str:
    """How a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    shown = "localhost" if _is_any(host) else f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{port}"


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
