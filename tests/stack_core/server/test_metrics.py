"""What the server tells of its work: `/metrics`, a line a request, limits of time."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack_core.server.aliases import route_table
from stack_core.server.logs import log_to_stderr
from stack_core.server.metrics import Metrics
from tests.stack_core.probe import Pieces, Probe, completion, serving

pytestmark = pytest.mark.slow

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"
FORM = "multipart/form-data; boundary=x"
ROUTE = route_table().match("POST", CHAT)[0]


def used(text: str = "hi") -> Any:
    """An answer that says what it took."""
    answer = completion(text).model_dump()
    answer["usage"] = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return type(completion()).model_validate(answer)


async def test_requests_times_tokens_and_chunks_are_counted() -> None:
    def answer(route: Any, args: dict[str, Any]) -> Any:
        return Pieces("a", "b")() if args["request"].stream else used()

    async with serving(Probe(answer)) as url, httpx2.AsyncClient(base_url=url) as client:
        for _ in range(2):
            await client.post(CHAT, json=BODY)
        await client.post(CHAT, json={**BODY, "stream": True})
        await client.post(CHAT, content=b"{")
        await client.request("PROPFIND", "/coffee")
        found = await client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = found.text.splitlines()
    name = 'route="inference.chat_completion"'
    assert f'stack_requests_total{{{name},method="POST",status="200"}} 3' in lines
    assert f'stack_requests_total{{{name},method="POST",status="400"}} 1' in lines
    assert 'stack_requests_total{route="none",method="other",status="404"} 1' in lines
    assert 'stack_tokens_total{model="m",direction="input"} 6' in lines
    assert 'stack_tokens_total{model="m",direction="output"} 8' in lines
    assert f"stack_stream_chunks_total{{{name}}} 3" in lines
    assert f"stack_request_seconds_count{{{name}}} 4" in lines
    assert f'stack_request_seconds_bucket{{{name},le="+Inf"}} 4' in lines
    assert "stack_requests_in_flight 0" in lines
    families = {family.name: family.type for family in text_string_to_metric_families(found.text)}
    assert families["stack_requests"] == "counter"
    assert families["stack_request_seconds"] == "histogram"


async def test_what_runs_is_counted_and_one_that_left_has_its_own_status() -> None:
    pieces = Pieces("a", hold=True)
    async with serving(Probe(lambda route, args: pieces())) as url, httpx2.AsyncClient(base_url=url) as client:
        async with client.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
            first = response.aiter_bytes()
            await anext(first)
            assert "stack_requests_in_flight 1\n" in (await client.get("/metrics")).text
        await asyncio.wait_for(pieces.closed.wait(), 2)
        text = (await client.get("/metrics")).text
    assert 'status="499"' in text
    assert "stack_requests_in_flight 0\n" in text


async def test_metrics_can_be_switched_off() -> None:
    probe = Probe(lambda route, args: completion(), server={"metrics": False})
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        assert (await client.get("/metrics")).status_code == 404


def test_workers_add_up_and_the_dead_run_nothing(tmp_path: Path) -> None:
    dead = Metrics(tmp_path)
    dead.began()
    dead.began()
    dead.ended(ROUTE, "GET", 200, 0.2)
    dead.leave()
    next(tmp_path.glob("*.json")).rename(tmp_path / "999999999.json")
    mine = Metrics(tmp_path)
    mine.began()
    mine.ended(ROUTE, "GET", 200, 0.3)
    mine.leave()
    lines = mine.text().splitlines()
    assert 'stack_requests_total{route="inference.chat_completion",method="GET",status="200"} 2' in lines
    assert 'stack_request_seconds_sum{route="inference.chat_completion"} 0.500000' in lines
    assert "stack_requests_in_flight 0" in lines


def test_a_label_cannot_end_its_line() -> None:
    metrics = Metrics()
    metrics.used('m"\n\\', type("Usage", (), {"prompt_tokens": 1})())
    metrics._values["stack_tokens_total"]['m"\n\\', "input"] = 1
    assert 'stack_tokens_total{model="m\\"\\n\\\\",direction="input"} 1\n' in metrics.text()


async def test_a_line_a_request_without_its_query_or_body(capsys: pytest.CaptureFixture[str]) -> None:
    loggers = [logging.getLogger(name) for name in ("stack_core", "uvicorn", "stack_core.access")]
    before = [(found, found.handlers, found.propagate, found.level) for found in loggers]
    log_to_stderr({"path-secret"}, "json")
    try:
        probe = Probe(lambda route, args: completion(), server={"log_format": "json"})
        async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
            answer = await client.post(f"{CHAT}?api_key=query-secret", json=BODY)
            await client.get("/v1/path-secret/x")
    finally:
        for found, handlers, propagate, level in before:
            found.handlers, found.propagate = handlers, propagate
            found.setLevel(level)
    text = capsys.readouterr().err
    assert "query-secret" not in text
    assert "path-secret" not in text
    assert '"hi"' not in text
    first, second = (json.loads(line) for line in text.splitlines() if "stack_core.access" in line)
    assert (first["method"], first["route"], first["status"]) == ("POST", "inference.chat_completion", 200)
    assert (first["bytes"], first["path"]) == (len(answer.content), CHAT)
    assert first["ms"] >= 0
    assert (second["status"], second["route"]) == (404, None)


async def test_a_call_that_takes_too_long_is_504_and_cancelled() -> None:
    cancelled = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    probe = Probe(lambda route, args: slow(), server={"request_timeout": 0.05})
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.post(CHAT, json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "provider_timeout")
    assert "server.request_timeout" in answer.json()["error"]["hint"]
    assert cancelled.is_set()


async def test_a_stream_has_its_own_limit() -> None:
    pieces = Pieces("a", hold=True)
    probe = Probe(lambda route, args: pieces(), server={"request_timeout": 0.2, "stream_timeout": 0.3})
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.post(CHAT, json={**BODY, "stream": True})
    assert "provider_timeout" in answer.text.split("\n\n")[-2]
    assert pieces.closed.is_set()


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", CHAT, b'{"a": NaN}', {}, 400),
        ("POST", CHAT, b'{"model": "m", "messages": [], "temperature": Infinity}', {}, 400),
        ("POST", CHAT, b"[" * 100_000, {}, 400),
        ("POST", CHAT, b'{"model": ' + b"9" * 5000 + b"}", {}, 400),
        ("POST", CHAT, b'{"model": "\\ud800"}', {}, 400),
        ("POST", CHAT, b"\xff\xfe\x00", {}, 400),
        ("POST", CHAT, b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 400),
        ("POST", CHAT, b"<a/>", {"content-type": "text/xml"}, 400),
        ("POST", CHAT, b"x", {"content-type": FORM}, 400),
        ("POST", "/v1/files", b"x", {"content-type": "multipart/form-data"}, 400),
        ("POST", "/v1/files", b"x", {"content-type": FORM, "content-encoding": "gzip"}, 400),
        ("GET", "/v1/models/%00", b"", {}, 400),
        ("GET", "/v1/models/%ff%fe", b"", {}, 200),
        ("GET", "/v1/models/" + "x" * 30_000, b"", {}, 200),
        ("GET", "/v1/files?request=x", b"", {}, 400),
        ("GET", "/v1/files?limit=" + "9" * 5000, b"", {}, 400),
        ("GET", "/v1/files?limit[x]=1&limit=2", b"", {}, 400),
        ("GET", "/v1/files?%ff=%00", b"", {}, 400),
    ],
)  # fmt: skip
async def test_junk_is_never_a_fault_of_ours(
    method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    async with serving(Probe(lambda route, args: None)) as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.request(method, path, content=body, headers=headers)
    assert answer.status_code == (204 if status == 200 else status), answer.text


async def test_a_file_over_the_limit_is_413_however_it_comes() -> None:
    probe = Probe(lambda route, args: None, server={"max_upload_bytes": 3_000_000})
    begin = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'

    async def pieces(size: int) -> Any:
        yield begin
        for _ in range(size // 100_000):
            yield b"z" * 100_000
        yield b'\r\n--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'

    async with serving(probe) as url, httpx2.AsyncClient(base_url=url, headers={"content-type": FORM}) as client:
        for size, status in ((3_000_000, 204), (3_100_000, 413), (9_000_000, 413)):
            assert (await client.post("/v1/files", content=pieces(size))).status_code == status
            body = b"".join([piece async for piece in pieces(size)])
            assert (await client.post("/v1/files", content=body)).status_code == status
    assert len(probe.calls) == 2


async def test_a_client_that_leaves_after_its_upload_cancels_the_call() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    form = {"files": {"file": ("a.txt", b"x")}, "data": {"purpose": "batch"}}
    async with serving(Probe(lambda route, args: slow())) as url:
        async with httpx2.AsyncClient(base_url=url) as client:
            task = asyncio.create_task(client.post("/v1/files", **form))
            await began.wait()
            task.cancel()
        await asyncio.wait_for(cancelled.wait(), 2)


async def test_a_connection_serves_on_after_every_refusal() -> None:
    """One connection: a refused form, a refused length and a wrong path do not end it."""
    async with serving(Probe(lambda route, args: completion())) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        statuses = []
        form = "content-type: multipart/form-data; boundary=x\r\n"
        for path, more, body in (("/v1/files", form, b"junk"), ("/v1/no", "", b""), ("/v1/files", "", b"{}"),
                                 (CHAT, form, b"junk"), (CHAT, "", json.dumps(BODY).encode())):  # fmt: skip
            writer.write(
                f"POST {path} HTTP/1.1\r\nhost: x\r\n{more}content-length: {len(body)}\r\n\r\n".encode() + body
            )
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert "connection: close" not in answer
            statuses.append(int(answer.split()[1]))
            await reader.readexactly(int(answer.partition("content-length: ")[2].split()[0]))
        writer.close()
    assert statuses == [400, 404, 400, 400, 200]
