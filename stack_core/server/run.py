"""Open a stack and serve it until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn

from stack_core.config import RunConfig, load_config
from stack_core.errors import ConfigError
from stack_core.server.app import check, create_app
from stack_core.server.listen import Server, allow_connections, bind, url_of
from stack_core.server.logs import log_to_stderr
from stack_core.server.metrics import Metrics
from stack_core.server.running import noted
from stack_core.server.workers import Supervisor, check_shared
from stack_core.stack import Stack, Unavailable

GRACE = 10
"""Seconds that requests under way may take after the signal."""

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept."""

Announce = Callable[[str, list[Unavailable], str], None]
"""Told the stack's name, what is not available in it, and its URL when the server answers."""


def run(
    source: str,
    *,
    host: str | None,
    port: int | None,
    announce: Announce,
    workers: int | None = None,
    log_format: Literal["text", "json"] | None = None,
) -> None:
    """Serve a distribution or run file until SIGINT or SIGTERM; requests under way are finished first.

    Args:
        source: a distribution's name or a run file.
        host: address to listen on; the run file's, else 127.0.0.1.
        port: the run file's where None; 0 takes a free one.
        workers: processes that share the port; the run file's where None.
        log_format: the run file's where None.

    Raises:
        ConfigError: the run file, its TLS files or the address are wrong, or workers would not share their stores.
        PortInUse: another program listens there.
        Unsupported: the run file asks for something of the server that this version cannot do.
    """
    given = {"workers": workers, "log_format": log_format}
    config = with_options(load_config(source), {name: value for name, value in given.items() if value is not None})
    server = config.server
    check(server)
    log_to_stderr(config.secrets(), server.log_format)
    address = (host or server.host or "127.0.0.1", server.port if port is None else port)
    if server.workers > 1:
        check_shared(config)
    with bind(*address) as listener:
        with noted(config.name, url_of(listener, secure=bool(server.tls_certfile)), listener.getsockname()[1]):
            if server.workers > 1:
                Supervisor(source, server, listener, announce).run()
            else:
                serve(source, config, listener, announce)


def with_options(config: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """The configuration with some settings of its server changed."""
    return config.model_copy(update={"server": config.server.model_copy(update=dict(options))})


def serve(
    source: str,
    config: RunConfig,
    listener: socket.socket,
    announce: Announce,
    *,
    stay: Callable[[Callable[[], object]], None] | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Serve on a socket in this process, until a signal.

    Args:
        stay: called with what ends the server, on its loop; a worker ends with its supervisor by this.
        metrics: counts the work.
    """
    allow_connections()
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(source, config, listener, announce, stay=stay, metrics=metrics or Metrics()))


async def _serve(
    source: str,
    config: RunConfig,
    listener: socket.socket,
    announce: Announce,
    *,
    stay: Callable[[Callable[[], object]], None] | None,
    metrics: Metrics,
) -> None:
    with _signals() as signals:
        try:
            if stay is not None:
                stay(signals)
            async with Stack.open(source) as stack, metrics.left_often():
                server = Server(_settings(_Served(stack, config), metrics))
                signals.on(server.stop)
                if not signals.came:
                    url = url_of(listener, secure=bool(config.server.tls_certfile))
                    server.ready = lambda: announce(stack.config.name, stack.unavailable, url)
                    await server.serve(sockets=[listener])
                    # Requests that were cut off still send their last words.
                    if left := list(server.server_state.tasks):
                        await asyncio.wait(left, timeout=1)
        except asyncio.CancelledError:
            if not signals.came:
                raise


class _Served:
    """An open stack, served as the command line's options say."""

    def __init__(self, stack: Stack, config: RunConfig) -> None:
        self.config = stack.config.model_copy(update={"server": config.server})
        self.call = stack.call


class _Signals:
    """What SIGINT and SIGTERM do: cancel the task that opens the stack, later stop the server."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.came = False
        self._act = act

    def on(self, act: Callable[[], object]) -> None:
        """From now on, do this."""
        self._act = act

    def __call__(self) -> None:
        self.came = True
        self._act()


@contextmanager
def _signals() -> Iterator[_Signals]:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = _Signals(task.cancel)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals)
    try:
        yield signals
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _settings(stack: _Served, metrics: Metrics) -> uvicorn.Config:
    server = stack.config.server
    settings = uvicorn.Config(
        create_app(stack, metrics),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        ws="none",
        ssl_certfile=_file(server.tls_certfile, "tls_certfile"),
        ssl_keyfile=_file(server.tls_keyfile, "tls_keyfile"),
        ssl_ca_certs=_file(server.tls_cafile, "tls_cafile"),
        ssl_cert_reqs=ssl.CERT_REQUIRED if server.tls_cafile else ssl.CERT_NONE,
    )
    try:
        settings.load()
    except ssl.SSLError as error:
        raise ConfigError(f"the TLS files cannot be used: {error.reason or error}", where="server") from error
    return settings


def _file(path: str | None, name: str) -> str | None:
    if path is None:
        return None
    found = Path(path).expanduser()
    if not found.is_file():
        raise ConfigError(f"{path!r} is not a file", where=f"server.{name}")
    return str(found)


async def _nothing(*_: object) -> None:
    """uvicorn picks its loop from a configuration, and a configuration wants an application."""
