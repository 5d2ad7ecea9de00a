"""A small OpenAI-compatible service without a model, for tests and benchmarks: it answers at once and remembers what it
was asked.

    python tests/upstream.py --port 9000 --chunks 16        # or, in a test:  with upstream(chunks=16) as service: …

The reply is `chunks` words (`w0 w1 …`). A request may carry `"upstream": {"chunks": 5, "delay": 0.1, "status": 429,
"break_after": 3}` to get another number of words, seconds before each piece, an error, or a connection that breaks. A
last message that begins with `echo:` is given back, and `break:3` breaks the connection after three events; with
`tools` the first one is called; with a JSON Schema the reply fits it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODELS = ("tiny", "other", "embed")
DIMENSIONS = 8
_HEAD = {"id": "chatcmpl-up", "created": 1_700_000_000}
_ERRORS = {
    400: ("maximum context length is 10 tokens", "context_length_exceeded"),
    401: ("Incorrect API key provided", "invalid_api_key"),
    404: ("The model does not exist", "model_not_found"),
    429: ("Rate limit reached", "rate_limit_exceeded"),
}


@dataclass
class Upstream:
    """A running service: `url` ends in `/v1`."""

    url: str
    process: subprocess.Popen[str]

    def requests(self) -> list[dict[str, Any]]:
        """What was asked, oldest first: `path`, `headers`, `body`, `state` (open, done or gone)."""
        found: list[dict[str, Any]] = self._get("/requests")
        return found

    def reset(self) -> None:
        """Forget what was asked."""
        self._get("/reset")

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + path, timeout=10) as response:
            return json.load(response)


@contextlib.contextmanager
def upstream(*, chunks: int = 16, delay: float = 0.0) -> Iterator[Upstream]:
    """Run the service in a process of its own, on a free port."""
    command = [sys.executable, str(Path(__file__)), "--port", "0", "--chunks", str(chunks), "--delay", str(delay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the upstream did not start: exit status {process.wait(timeout=10)}")
        yield Upstream(url, process)
    finally:
        process.terminate()
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()


class Application:
    """The service as an ASGI application."""

    def __init__(self, chunks: int, delay: float) -> None:
        self._defaults = {"chunks": chunks, "delay": delay}
        self._asked: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix("/v1")
        body = await _read(receive)
        if path == "/requests":
            await _reply(send, self._asked)
        elif path == "/reset":
            self._asked.clear()
            await _reply(send, {})
        elif scope["path"] == "/health":
            await _reply(send, {})
        elif path == "/models":
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "upstream"} for name in MODELS]
            await _reply(send, {"object": "list", "data": data})
        else:
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            asked = {"path": path, "headers": headers, "body": body, "state": "open"}
            self._asked.append(asked)
            await self._serve(path, body, asked, receive, send)

    async def _serve(self, path: str, body: dict[str, Any], asked: dict[str, Any], receive: Any, send: Any) -> None:
        wish = {**self._defaults, **_said(body), **body.get("upstream", {})}
        if status := wish.get("status"):
            text, code = _ERRORS.get(status, ("The service is down", "server_error"))
            headers = [(b"retry-after", b"7"), (b"x-should-retry", b"false")]
            await _reply(send, {"error": {"message": text, "type": "error", "code": code}}, status, headers)
        elif body.get("model", MODELS[0]) not in MODELS:
            error = {"message": f"The model `{body['model']}` does not exist", "code": "model_not_found"}
            await _reply(send, {"error": error}, 404)
        elif path == "/embeddings":
            await _reply(send, _embeddings(body))
        elif path == "/rerank":
            await _reply(send, _ranked(body))
        elif path not in ("/chat/completions", "/completions"):
            await _reply(send, {"error": {"message": f"no route {path}", "code": "not_found"}}, 404)
        elif body.get("stream"):
            events = _events(path, body, wish["chunks"])
            await _stream(events, wish, asked, receive, send)
            return
        else:
            watcher = asyncio.create_task(_gone(receive, asked))
            await asyncio.wait([watcher], timeout=wish["delay"])
            watcher.cancel()
            await _reply(send, _whole(path, body, wish["chunks"]))
        if asked["state"] == "open":
            asked["state"] = "done"


def _whole(path: str, body: dict[str, Any], chunks: int) -> dict[str, Any]:
    pieces, call = _answer(body, chunks)
    usage = {"prompt_tokens": 4, "completion_tokens": len(pieces), "total_tokens": 4 + len(pieces)}
    head = {**_HEAD, "model": body.get("model"), "usage": usage}
    if path == "/completions":
        choice = {"index": 0, "text": "".join(pieces), "finish_reason": "stop", "logprobs": None}
        return {**head, "object": "text_completion", "choices": [choice]}
    message: dict[str, Any] = {"role": "assistant", "content": "".join(pieces), "refusal": None}
    if call:
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop", "logprobs": None}
    return {**head, "object": "chat.completion", "choices": [choice]}


def _said(body: dict[str, Any]) -> dict[str, Any]:
    """What the last message wishes, for callers that can send no field of their own."""
    last = (body.get("messages") or [{}])[-1].get("content")
    if isinstance(last, str) and last.startswith("break:"):
        return {"break_after": int(last.removeprefix("break:"))}
    return {}


def _answer(body: dict[str, Any], chunks: int) -> tuple[list[str], dict[str, str] | None]:
    """(pieces of text, function call)"""
    messages = body.get("messages") or [{"content": ""}]
    last = messages[-1].get("content")
    if body.get("tools") and messages[-1].get("role") != "tool":
        function = body["tools"][0]["function"]
        properties = function.get("parameters", {}).get("properties", {})
        return [], {"name": function["name"], "arguments": json.dumps(dict.fromkeys(properties, "x"))}
    if schema := (body.get("response_format") or {}).get("json_schema"):
        return [json.dumps(_fit(schema.get("schema", {})))], None
    if isinstance(last, str) and last.startswith("echo:"):
        return [last.removeprefix("echo:")], None
    return [f"w{number} " for number in range(chunks)], None


def _fit(schema: dict[str, Any]) -> Any:
    """The simplest value of a JSON Schema."""
    if schema.get("type") == "object":
        return {name: _fit(inner) for name, inner in schema.get("properties", {}).items()}
    return {"integer": 7, "number": 0.5, "boolean": True, "array": []}.get(schema.get("type", ""), "text")


async def _stream(events: Iterator[bytes], wish: Any, asked: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    watcher = asyncio.create_task(_gone(receive, asked))
    for number, event in enumerate(events):
        if wish["delay"]:
            await asyncio.sleep(wish["delay"])
        if asked["state"] == "gone":
            return
        if number == wish.get("break_after"):
            asked["state"] = "done"
            raise ConnectionError("a broken connection was asked for")
        await send({"type": "http.response.body", "body": event, "more_body": True})
    asked["state"] = "done"
    watcher.cancel()
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def _events(path: str, body: dict[str, Any], chunks: int) -> Iterator[bytes]:
    pieces, call = _answer(body, chunks)
    chat = path == "/chat/completions"
    head = {**_HEAD, "model": body.get("model"), "object": "chat.completion.chunk" if chat else "text_completion"}

    def event(what: dict[str, Any], finish: str | None = None) -> bytes:
        inner = {"delta": what} if chat else {"text": what.get("content", "")}
        choice = {"index": 0, **inner, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

    if chat:
        yield event({"role": "assistant", "content": ""})
    if call:
        start = {"index": 0, "id": "call_1", "type": "function", "function": {"name": call["name"], "arguments": ""}}
        yield event({"tool_calls": [start]})
        for part in (call["arguments"][:5], call["arguments"][5:]):
            yield event({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    for piece in pieces:
        yield event({"content": piece})
    yield event({}, "tool_calls" if call else "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 4, "completion_tokens": len(pieces), "total_tokens": 4 + len(pieces)}
        yield b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n"


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    rows = []
    for index, text in enumerate(texts):
        vector: Any = [float(len(str(text)) + place) for place in range(DIMENSIONS)]
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": rows, "model": body.get("model"), "usage": usage}


def _ranked(body: dict[str, Any]) -> dict[str, Any]:
    """A document's score is how many of the query's words it has."""
    words = set(body["query"].split())
    rows = [
        {"index": index, "relevance_score": len(words & set(str(text).split())) / max(len(words), 1)}
        for index, text in enumerate(body["documents"])
    ]
    return {"results": sorted(rows, key=lambda row: -row["relevance_score"])[: body.get("top_n", len(rows))]}


async def _read(receive: Any) -> dict[str, Any]:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(body) if body else {}


async def _gone(receive: Any, asked: dict[str, Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if asked["state"] == "open":
        asked["state"] = "gone"


async def _reply(send: Any, content: Any, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = json.dumps(content).encode()
    all_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until a signal comes; the first line of output is the URL."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--chunks", type=int, default=16, help="words of a reply")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before a reply, and before each piece")
    options = parser.parse_args()
    settings = uvicorn.Config(
        Application(options.chunks, options.delay),
        port=options.port,
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    listener = settings.bind_socket()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listener])


if __name__ == "__main__":
    main()
