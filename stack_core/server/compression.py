"""Bodies made smaller: answers to clients that say they take gzip or zstd, and requests that come so.

Only whole answers are packed, never a stream: its pieces must leave at once.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any

from stack_core.errors import InvalidRequest, PayloadTooLarge
from stack_core.server.asgi import App, Message, Receive, Scope, Send

SMALLEST = 1024
"""Bytes under which packing an answer costs more than it saves."""
_IN_THREAD = 256 * 1024
"""Bytes from which the packing would hold up other requests."""
_WINDOW = 8 * 1024 * 1024
"""Memory that the unpacking of zstd may ask for (RFC 9659)."""


class Compressed:
    """An application whose whole answers are packed as the client likes."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        accepted = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
        answer = _Answer(send, chosen(accepted.decode("latin-1")))
        await self._app(scope, receive, answer.send)


class _Answer:
    """Holds the head of an answer back until it is clear whether its body comes whole."""

    def __init__(self, send: Send, encoding: str | None) -> None:
        self._send, self._encoding = send, encoding
        self._head: Message | None = None

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            body = message.get("body", b"")
            if not message.get("more_body", False) and len(body) >= SMALLEST and _packable(head):
                message = {**message, "body": await self._packed(head, body)}
            await self._send(head)
        await self._send(message)

    async def _packed(self, head: Message, body: bytes) -> bytes:
        headers = [pair for pair in head["headers"] if pair[0] != b"content-length"]
        headers.append((b"vary", b"accept-encoding"))
        if self._encoding is not None:
            pack = _packers()[self._encoding]
            body = await asyncio.to_thread(pack, body) if len(body) >= _IN_THREAD else pack(body)
            headers.append((b"content-encoding", self._encoding.encode()))
        head["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
        return body


def _packable(head: Message) -> bool:
    return head["status"] != 204 and not any(name == b"content-encoding" for name, _ in head["headers"])


def chosen(accepted: str) -> str | None:
    """The encoding that an `accept-encoding` header likes best, zstd before gzip; None where it takes neither."""
    if not accepted:
        return None
    weights: dict[str, float] = {}
    for item in accepted.split(","):
        name, _, rest = item.partition(";")
        text = rest.strip().lower()
        try:
            weight = float(text[2:]) if text.startswith("q=") else 1.0
        except ValueError:
            weight = 0.0
        weights[name.strip().lower()] = weight
    offered = [(weights.get(name, weights.get("*", 0.0)), name) for name in _packers()]
    best = max(offered, key=lambda pair: pair[0])
    return best[1] if best[0] > 0 else None


@cache
def _packers() -> MutableMapping[str, Callable[[bytes], bytes]]:
    """Encoding → how to pack, the best first."""
    found: dict[str, Callable[[bytes], bytes]] = {}
    if (zstd := _zstd()) is not None:
        found["zstd"] = lambda body: bytes(zstd.ZstdCompressor(level=3).compress(body))
    found["gzip"] = lambda body: gzip.compress(body, 5, mtime=0)
    return found


@cache
def _zstd() -> Any:
    """The package, or None where it is not installed: the server then speaks gzip only."""
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard


async def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body of a request as it was before it was packed.

    Args:
        encoding: the request's `content-encoding`.
        most: bytes that it may have unpacked.

    Raises:
        InvalidRequest: the encoding is not known, or the body is damaged.
        PayloadTooLarge: it would be over `most`; no more than that is ever unpacked.
    """
    name = encoding.strip().lower()
    unpack = {"gzip": _from_gzip, "x-gzip": _from_gzip, "zstd": _from_zstd if _zstd() else None}.get(name)
    if unpack is None:
        known = "gzip and zstd" if _zstd() else "gzip"
        raise InvalidRequest(f"content-encoding {encoding[:40]!r} is not read here", f"send {known}, or as it is")
    try:
        out = await asyncio.to_thread(unpack, body, most + 1)
    except (zlib.error, EOFError) as error:
        raise InvalidRequest(f"the body is damaged: it is no {name}: {error}") from error
    if len(out) > most:
        raise PayloadTooLarge(f"the request body is over {most:,} bytes when unpacked", "send less at once")
    return out


def _from_gzip(body: bytes, most: int) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    out = reader.decompress(body, most)
    if len(out) < most and not reader.eof:
        raise EOFError("it ends too early")
    return out


def _from_zstd(body: bytes, most: int) -> bytes:
    zstd = _zstd()
    source = io.BytesIO(body)
    try:
        with zstd.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(source) as reader:
            out = bytes(reader.read(most))
        if len(out) < most and not _whole(zstd, body, len(out)):
            raise EOFError("it ends too early")
    except zstd.ZstdError as error:
        raise EOFError(str(error)) from error
    return out


def _whole(zstd: Any, body: bytes, size: int) -> bool:
    """Whether a frame of so many bytes came to its end: the reader itself takes a cut-off frame for a short one."""
    reader = zstd.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
    return len(reader.decompress(body)) == size and bool(reader.eof)
