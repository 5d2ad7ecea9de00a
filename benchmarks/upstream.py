"""An OpenAI-compatible service that costs as little as possible, so that what is measured is who calls it.

One process, one protocol class on a socket, replies made beforehand: 16 tokens whole, and as many streamed as
`max_tokens` says. Each piece of a stream is a write of its own, as from a real service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator

TOKENS = 16
_HEAD = {"id": "chatcmpl-bench", "created": 1_700_000_000, "model": "m"}
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MOST = re.compile(rb'"max_tokens": *(\d+)')


def _reply(content: object) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    event = json.dumps({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})
    return _framed(f"data: {event}\n\n".encode())


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


_MODELS = _reply({"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "bench"}]})
_WHOLE = _reply(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "word " * TOKENS, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": TOKENS, "total_tokens": 10 + TOKENS},
    }
)
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECE = _chunk({"content": "word "})
_LAST = _chunk({}, "stop") + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class _Service(asyncio.Protocol):
    """Requests of one connection, one after the other (no pipelining)."""

    def __init__(self) -> None:
        self._read = b""
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._stream:
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        self._read = b""
        if head.startswith(b"GET"):
            self._transport.write(_MODELS)
        elif b'"stream":true' in body.replace(b": ", b":"):
            most = _MOST.search(body)
            self._stream = asyncio.get_running_loop().create_task(self._send(int(most[1]) if most else TOKENS))
        else:
            self._transport.write(_WHOLE)

    async def _send(self, tokens: int) -> None:
        self._transport.write(_STREAM)
        for _ in range(tokens):
            self._transport.write(_PIECE)
            await asyncio.sleep(0)
        self._transport.write(_LAST)


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Run the service in a process of its own; gives its URL, which ends in `/v1`."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.upstream"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Service, "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
