"""The one import of the HTTP client: pooling, retries, proxies and TLS settings, and the reading of event streams.

`open_client` gives an ordinary `AsyncClient`; what is ours lies in its transport: it picks a proxy, shares one TLS
context between all clients with the same settings (building one takes about 30 ms), and repeats a call that failed
before any of its answer was given out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import random
import ssl
import time
from collections.abc import AsyncIterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.request import getproxies

from httpx2 import (
    URL,
    ASGITransport,
    AsyncBaseTransport,
    AsyncClient,
    AsyncHTTPTransport,
    ByteStream,
    ConnectError,
    ConnectTimeout,
    Headers,
    HTTPError,
    InvalidURL,
    Limits,
    NetworkError,
    Proxy,
    ReadTimeout,
    RemoteProtocolError,
    Request,
    Response,
    Timeout,
    TimeoutException,
    TransportError,
    create_ssl_context,
)
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stack_core.errors import ConfigError
from stack_core.events import EventParser
from stack_core.version import __version__

__all__ = [
    "URL",
    "ASGITransport",
    "AsyncBaseTransport",
    "AsyncClient",
    "Client",
    "ConnectError",
    "ConnectTimeout",
    "EventParser",
    "HTTPError",
    "Headers",
    "InvalidURL",
    "Network",
    "NetworkError",
    "ReadTimeout",
    "Request",
    "Response",
    "Timeout",
    "TimeoutException",
    "TransportError",
    "body_of",
    "open_client",
    "retry_after",
]

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 300.0
LONGEST_WAIT = 60.0
"""Seconds that all the waiting of one call may take; a service that asks for more gets its answer passed on instead."""
MOST_ORIGINS = 256
"""Origins whose pool is remembered; finding it anew costs some 20 µs."""
RETRIED = frozenset({408, 409, 429})
_LIMITS = Limits(max_connections=256, max_keepalive_connections=128, keepalive_expiry=60)
_HOPELESS = (b"insufficient_quota", b"enforced_spend_limit_reached")
_HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]*$")]
_FAILED_BEFORE_ANSWER = (ConnectTimeout, NetworkError, RemoteProtocolError)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TLS(_Settings):
    """How a secure connection is checked."""

    verify: bool | Path = Field(True, description="False checks nothing; a path names a file or folder of authorities.")
    min_version: Literal["TLSv1.2", "TLSv1.3"] | None = None
    ciphers: list[str] | None = Field(None, description="OpenSSL cipher names, most wanted first.")
    client_cert: Path | None = Field(None, description="PEM file with our own certificate.")
    client_key: Path | None = Field(None, description="PEM file with its key, where the certificate's file lacks it.")


class Proxies(_Settings):
    """Which proxy to use; without any the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count."""

    url: str | None = Field(None, description="For both kinds of URL.")
    http: str | None = None
    https: str | None = None
    cacert: Path | None = Field(None, description="Authority of an https proxy.")
    no_proxy: list[str] | None = Field(None, description="Host names, domains, addresses or networks reached directly.")


class Timeouts(_Settings):
    """Seconds to wait."""

    connect: float | None = CONNECT_TIMEOUT
    read: float | None = READ_TIMEOUT


class Network(_Settings):
    """TLS, proxy, timeouts and headers of a provider's connections (the `network` block of OGX 0.8)."""

    tls: TLS | None = None
    proxy: Proxies | None = None
    timeout: float | Timeouts | None = Field(None, description="Seconds for everything, or connect and read apart.")
    headers: dict[str, _HeaderValue] | None = Field(None, description="Sent with every request.")


def open_client(
    base_url: str = "",
    *,
    network: Network | None = None,
    headers: Mapping[str, str] | None = None,
    uds: str | None = None,
    retries: int = 2,
    transport: AsyncBaseTransport | None = None,
) -> Client:
    """A pooled client; close it with `aclose()` or `async with`.

    Args:
        base_url: put before relative paths.
        network: TLS, proxy, timeouts, headers.
        headers: sent with every request; those of `network` win.
        uds: path of a Unix socket to connect to whatever the URL's host.
        retries: how often a call may be repeated after 408, 409, 429, 5xx or a connection that failed before an answer.
        transport: takes the network's place (an ASGI app in process, a test's stand-in).
    """
    settings = network or Network()
    return Client(
        _Transport(settings, uds=uds, retries=retries, fixed=transport),
        base_url=base_url,
        headers={"user-agent": f"llama-magics/{__version__}", **(headers or {}), **(settings.headers or {})},
        timeout=_timeout(settings.timeout),
        trust_env=False,
    )


class Client(AsyncClient):
    """An ordinary client, and a shorter way for calls of services: `exchange`."""

    def __init__(self, transport: AsyncBaseTransport, **settings: Any) -> None:
        super().__init__(transport=transport, **settings)
        self._wire = transport

    async def exchange(self, method: str, url: str, *, content: bytes, headers: Mapping[str, str]) -> Response:
        """The answer, its body still to come; the caller closes it. Leaves out what `send` does for web pages (cookies,
        redirects, authentication in several steps), which would be a sixth of the cost of a call."""
        request = self.build_request(method, _parsed(url), content=content, headers=headers)
        response = await self._wire.handle_async_request(request)
        response.request = request
        return response


@lru_cache(maxsize=256)
def _parsed(url: str) -> URL:
    return URL(url)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a service asks to wait, from `retry-after-ms` or `Retry-After` (seconds, fractions or a date)."""
    try:
        return _seconds(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        text = headers.get("retry-after", "")
    try:
        return _seconds(text)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError("no number of seconds")
    return max(0.0, seconds)


def body_of(response: Response) -> AsyncIterable[bytes]:
    """The pieces of an open response as they arrive. Past the client's own layers where nothing has to be decoded:
    they cost more than the parsing of a chunk."""
    plain = response.headers.get("content-encoding", "identity") == "identity"
    return response.stream if plain and isinstance(response.stream, AsyncIterable) else response.aiter_bytes()


class _Transport(AsyncBaseTransport):
    """Picks a connection pool by scheme and proxy, and repeats what failed before an answer was given out."""

    def __init__(self, network: Network, *, uds: str | None, retries: int, fixed: AsyncBaseTransport | None) -> None:
        self._tls = network.tls or TLS()
        self._proxies = network.proxy or Proxies()
        self._by_scheme, self._direct = _proxy_table(network.proxy)
        self._uds, self._retries, self._fixed = uds, retries, fixed
        self._pools: dict[tuple[str, str | None], AsyncHTTPTransport] = {}
        self._by_origin: dict[tuple[str, str, int | None], AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: Request) -> Response:
        pool = self._fixed or self._pool(request.url)
        left = self._retries if isinstance(request.stream, ByteStream) else 0
        if left <= 0:
            return await pool.handle_async_request(request)
        budget, delay = LONGEST_WAIT, 0.5
        while True:
            try:
                response = await pool.handle_async_request(request)
            except _FAILED_BEFORE_ANSWER as error:
                if left <= 0 or (isinstance(error, ConnectError) and (self._uds or _is_local(request.url.host))):
                    raise  # nobody listens on this machine: waiting does not help
                wait = _jittered(delay)
            else:
                if response.status_code < 400 or left <= 0 or not await _repeatable(response):
                    return response
                asked = retry_after(response.headers)
                wait = _jittered(delay) if asked is None else asked
                if wait > budget:
                    return response
                await response.aclose()
            await asyncio.sleep(wait)
            left, budget, delay = left - 1, budget - wait, min(delay * 2, 8.0)

    async def aclose(self) -> None:
        for pool in [*self._pools.values(), *([self._fixed] if self._fixed else [])]:
            await pool.aclose()

    def _pool(self, url: URL) -> AsyncHTTPTransport:
        origin = (url.scheme, url.host, url.port)
        found = self._by_origin.get(origin)
        if found is None:
            if len(self._by_origin) >= MOST_ORIGINS:
                self._by_origin.clear()
            found = self._by_origin[origin] = self._chosen(url)
        return found

    def _chosen(self, url: URL) -> AsyncHTTPTransport:
        """The pool for an origin: one a scheme and proxy."""
        proxy = None if self._uds or _bypassed(url, self._direct) else self._by_scheme.get(url.scheme)
        key = (url.scheme, proxy)
        if key not in self._pools:
            tls = _tls_context(self._tls.model_dump_json()) if url.scheme == "https" else _no_tls()
            self._pools[key] = AsyncHTTPTransport(
                verify=tls, trust_env=False, limits=_LIMITS, uds=self._uds, proxy=self._proxy(proxy)
            )
        return self._pools[key]

    def _proxy(self, url: str | None) -> Proxy | None:
        if url is None:
            return None
        secure = url.startswith("https:")
        tls = TLS(verify=self._proxies.cacert or self._tls.verify) if secure else None
        try:
            return Proxy(url, ssl_context=_tls_context(tls.model_dump_json()) if tls else None)
        except (ValueError, InvalidURL):
            raise ConfigError("network.proxy is not the address of a proxy", "write it like http://host:3128") from None


async def _repeatable(response: Response) -> bool:
    """Whether to send the request again: the service's own word first, then the status."""
    said = response.headers.get("x-should-retry", "").lower()
    if said in ("true", "false"):
        return said == "true"
    status = response.status_code
    if status not in RETRIED and (status < 500 or status == 501):
        return False
    if status == 429 and "retry-after" not in response.headers:
        content = await response.aread()  # an empty account stays empty
        return not any(word in content for word in _HOPELESS)
    return True


def _jittered(delay: float) -> float:
    return delay * (1 - 0.25 * random.random())


def _timeout(given: float | Timeouts | None) -> Timeout:
    if isinstance(given, (int, float)):
        return Timeout(given)
    times = given or Timeouts()
    return Timeout(connect=times.connect, read=times.read, write=times.read, pool=times.read)


def _proxy_table(given: Proxies | None) -> tuple[dict[str, str | None], list[str]]:
    """Proxy by scheme, and what is reached directly."""
    if given and (given.url or given.http or given.https):
        return {"http": given.http or given.url, "https": given.https or given.url}, given.no_proxy or []
    env = getproxies()
    table = {scheme: _with_scheme(env.get(scheme) or env.get("all")) for scheme in ("http", "https")}
    direct = given.no_proxy if given and given.no_proxy else env.get("no", "").split(",")
    return table, [entry.strip() for entry in direct if entry.strip()]


def _with_scheme(url: str | None) -> str | None:
    return url if not url or "://" in url else f"http://{url}"


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _bypassed(url: URL, direct: list[str]) -> bool:
    host = url.host.lower()
    if _is_local(host):
        return True
    return any(_covers(entry.lower(), host, url.port) for entry in direct)


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether a NO_PROXY entry (`*`, a host, `.domain`, `host:port`, an address or a network) covers a host."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        if port != int(number):
            return False
        entry = name
    domain = entry.removeprefix("*").removeprefix(".")
    return host == domain or host.endswith(f".{domain}")


@lru_cache(maxsize=1)
def _no_tls() -> ssl.SSLContext:
    """An empty context for plain http, so that no authorities are loaded for it."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=16)
def _tls_context(settings: str) -> ssl.SSLContext:
    """One context for each set of TLS settings (as JSON, which is hashable).

    Raises:
        ConfigError: a file is missing or damaged, or no cipher of the list exists.
    """
    tls = TLS.model_validate_json(settings)
    try:
        if isinstance(tls.verify, Path):
            file, folder = (None, tls.verify) if tls.verify.is_dir() else (tls.verify, None)
            context = ssl.create_default_context(cafile=file, capath=folder)
        else:
            context = create_ssl_context(verify=tls.verify)
        if tls.min_version:
            context.minimum_version = ssl.TLSVersion[tls.min_version.replace(".", "_")]
        if tls.ciphers:
            context.set_ciphers(":".join(tls.ciphers))
        if tls.client_cert:
            context.load_cert_chain(tls.client_cert, tls.client_key)
    except OSError as error:
        raise ConfigError(f"network.tls cannot be used: {error}", "check the files under network.tls") from error
    return context
