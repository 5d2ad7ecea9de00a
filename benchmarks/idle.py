"""The server with 1,000 streams open that all wait: its memory, and what one connection costs."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path

from benchmarks.measure import Figure
from benchmarks.serving import Server, running

STREAMS = 1_000
MB = 1024 * 1024
PROMISE = 250


def measure(folder: Path) -> list[Figure]:
    """Two figures: the memory of the whole server, and the kilobytes of one stream."""
    file = folder / "idle.yaml"
    file.write_text(json.dumps(_run_file(folder)))  # JSON is YAML
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * STREAMS + 200), most))
    with running(["-m", "stack_core", "run", str(file), "--port", "0", "--json"], "waiting/m") as server:
        before, after = asyncio.run(_memory(server))
    return [
        Figure("server, 1,000 idle streams", "MB", after / MB, before / MB, "the same, none open", f"≤ {PROMISE}",
               after / MB <= PROMISE),
        Figure("server, an idle stream", "kB", (after - before) / STREAMS / 1024, None, "", "-", True),
    ]  # fmt: skip


def _run_file(folder: Path) -> dict[str, object]:
    entry = {
        "provider_id": "waiting",
        "provider_type": "inline::waiting",
        "module": "benchmarks.waiting_provider",
    }
    backends = {
        "kv_default": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
        "sql_default": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
    }
    stores = {"metadata": {"namespace": "registry", "backend": "kv_default"}, "inference": {"backend": "sql_default"}}
    storage = {"backends": backends, "stores": stores}
    return {"version": 2, "image_name": "idle", "providers": {"inference": [entry]}, "storage": storage}


async def _memory(server: Server) -> tuple[int, int]:
    """Resident bytes of the server with one stream that came and went, and with all of them open."""
    await _close([await _stream(server)])
    before = server.process.memory_info().rss
    writers = []
    for _ in range(0, STREAMS, 50):
        writers += await asyncio.gather(*(_stream(server) for _ in range(50)))
    after = server.process.memory_info().rss
    await _close(writers)
    return before, after


async def _stream(server: Server) -> asyncio.StreamWriter:
    """A stream whose first word has come."""
    host, port = server.url.removeprefix("http://").split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"model": server.model, "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    writer.write(head + b"content-length: %d\r\n\r\n%s" % (len(body), body))
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in answer.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"the server answered {answer.decode()}")
    await reader.readuntil(b"word")
    return writer


async def _close(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers))
