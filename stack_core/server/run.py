"""Open a stack and serve it until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from stack_core.config import RunConfig, load_config
from stack_core.errors import ConfigError
from stack_core.server.app import check, create_app
from stack_core.server.listen import Server, bind, url_of
from stack_core.stack import Stack
from stack_core.wire.faults import scrubbed

GRACE = 10
"""Seconds that requests under way may take after the signal."""

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept."""

Announce = Callable[[Stack, str], None]
"""Told the open stack and its URL when the server answers."""


def run(source: str, *, host: str | None, port: int | None, announce: Announce) -> None:
    """Serve a distribution or run file until SIGINT or SIGTERM; requests under way are finished first.

    Args:
        source: a distribution's name or a run file.
        host: address to listen on; the run file's, else 127.0.0.1.
        port: the run file's where None; 0 takes a free one.

    Raises:
        ConfigError: the run file, its TLS files or the address are wrong.
        PortInUse: another program listens there.
        Unsupported: the run file asks for something of the server that this version cannot do.
    """
    config = load_config(source)
    check(config.server)
    _log_to_stderr(config.secrets())
    address = (host or config.server.host or "127.0.0.1", config.server.port if port is None else port)
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(source, config, address, announce))


async def _serve(source: str, config: RunConfig, address: tuple[str, int], announce: Announce) -> None:
    listener = bind(*address)
    with listener, _signals() as signals:
        try:
            async with Stack.open(source) as stack:
                server = Server(_settings(stack))
                signals.on(server.stop)
                if not signals.came:
                    url = url_of(listener, secure=bool(config.server.tls_certfile))
                    server.ready = lambda: announce(stack, url)
                    await server.serve(sockets=[listener])
                    # Requests that were cut off still send their last words.
                    if left := list(server.server_state.tasks):
                        await asyncio.wait(left, timeout=1)
        except asyncio.CancelledError:
            if not signals.came:
                raise


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


def _settings(stack: Stack) -> uvicorn.Config:
    server = stack.config.server
    settings = uvicorn.Config(
        create_app(stack),
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


class _Scrubbing(logging.Formatter):
    """Masks the configuration's secrets in every line and traceback."""

    def __init__(self, secrets: set[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return scrubbed(super().format(record).encode("utf-8", "replace"), self._secrets).decode("utf-8", "replace")


def _log_to_stderr(secrets: set[str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Scrubbing(secrets))
    for name, level in (("stack_core", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


async def _nothing(*_: object) -> None:
    """uvicorn picks its loop from a configuration, and a configuration wants an application."""
