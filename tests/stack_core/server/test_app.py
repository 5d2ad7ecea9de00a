"""The HTTP application over real connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from stack_core.config import Server
from stack_core.errors import ConfigError, RateLimited, Unsupported
from stack_core.server.app import check, create_app
from tests.stack_core.probe import Pieces, Probe, completion, serving

pytestmark = pytest.mark.slow

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"


async def _ask(probe: Probe, *args: Any, **kwargs: Any) -> httpx2.Response:
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        return await client.request(*args, **kwargs)


async def test_a_plain_answer_is_json() -> None:
    response = await _ask(Probe(lambda route, args: completion("hello")), "POST", CHAT, json=BODY)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"][0]["message"]["content"] == "hello"


async def test_a_streamed_answer_is_events() -> None:
    response = await _ask(Probe(lambda route, args: Pieces("a", "b")()), "POST", CHAT, json={**BODY, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert [json.loads(event[6:])["choices"][0]["delta"] for event in events[:2]] == [
        {"content": "a"},
        {"content": "b"},
    ]
    assert events[2:] == ["data: [DONE]", ""]


async def test_no_result_is_204_without_a_body() -> None:
    response = await _ask(Probe(lambda route, args: None), "DELETE", "/v1/models/a/b")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-length" not in response.headers


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "code"),
    [
        ("GET", "/", b"", 404, "not_found"),
        ("GET", CHAT + "/a%0Ab/c", b"", 404, "not_found"),
        ("GET", "/v1/nothing", b"", 404, "not_found"),
        ("PATCH", CHAT, b"", 405, "method_not_allowed"),
        ("POST", CHAT, b"{not json", 400, "invalid_request"),
        ("POST", CHAT, b"{}", 400, "invalid_request"),
        ("GET", CHAT + "?limit=x", b"", 400, "invalid_request"),
    ],
)
async def test_a_refusal_has_the_shape_of_every_error(
    verb: str, path: str, body: bytes, status: int, code: str
) -> None:
    response = await _ask(Probe(lambda route, args: completion()), verb, path, content=body)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["detail"] == response.json()["error"]["message"]


async def test_a_connection_serves_on_after_refusals() -> None:
    probe = Probe(lambda route, args: completion())
    async with serving(probe) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        statuses = []
        for body in (b"{", b"{}", json.dumps(BODY).encode()):
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert "connection: close" not in answer
            statuses.append(answer.split()[1])
            await reader.readexactly(int(answer.partition("content-length: ")[2].split()[0]))
        writer.close()
    assert statuses == ["400", "400", "200"]


async def test_a_wait_is_told_by_retry_after() -> None:
    error = RateLimited("slow")
    error.retry_after = 2.5
    response = await _ask(Probe(lambda route, args: error), "POST", CHAT, json=BODY)
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")


async def test_a_body_over_the_limit_is_413() -> None:
    probe = Probe(lambda route, args: completion(), server={"max_body_bytes": 100})

    async def pieces() -> Any:
        for _ in range(5):
            yield b" " * 50

    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        for content in (b" " * 101, pieces()):
            response = await client.post(CHAT, content=content)
            assert response.status_code == 413
            assert response.json()["error"]["code"] == "payload_too_large"
        assert (await client.post(CHAT, json=BODY)).status_code == 200


async def test_a_client_that_leaves_a_stream_cancels_it() -> None:
    pieces = Pieces("a", hold=True)
    async with serving(Probe(lambda route, args: pieces())) as url, httpx2.AsyncClient(base_url=url) as client:
        async with client.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
            await anext(response.aiter_bytes())
            assert not pieces.closed.is_set()
        await asyncio.wait_for(pieces.closed.wait(), 2)


async def test_a_client_that_leaves_a_plain_call_cancels_it() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(Probe(lambda route, args: slow())) as url:
        async with httpx2.AsyncClient(base_url=url) as client:
            task = asyncio.create_task(client.post(CHAT, json=BODY))
            await began.wait()
            task.cancel()
        await asyncio.wait_for(cancelled.wait(), 2)


async def test_a_stream_under_way_at_the_end_of_the_grace_closes_with_an_error_event() -> None:
    pieces = Pieces("a", hold=True)
    text = b""
    async with httpx2.AsyncClient() as client:
        async with serving(Probe(lambda route, args: pieces())) as url:
            response = await client.send(
                client.build_request("POST", url + CHAT, json={**BODY, "stream": True}), stream=True
            )
        text = await response.aread()
    assert b"shutting down" in text.split(b"\n\n")[1]


async def test_a_request_under_way_is_finished_before_the_server_ends() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        began.set()
        await go.wait()
        return completion("late")

    async with httpx2.AsyncClient() as client:
        async with serving(Probe(lambda route, args: slow())) as url:
            task = asyncio.create_task(client.post(url + CHAT, json=BODY))
            await began.wait()
            asyncio.get_running_loop().call_later(0.2, go.set)
        assert (await task).json()["choices"][0]["message"]["content"] == "late"


async def test_pages_of_this_machine_may_ask_where_the_run_file_lets_them() -> None:
    probe = Probe(lambda route, args: completion(), server={"cors": True})
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-any"}
        near = await client.options(CHAT, headers={"origin": "http://localhost:8888", **asked})
        far = await client.options(CHAT, headers={"origin": "https://example.org", **asked})
    assert near.headers["access-control-allow-origin"] == "http://localhost:8888"
    assert "access-control-allow-origin" not in far.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_without_cors_no_page_of_another_origin_may_ask(site: str) -> None:
    probe = Probe(lambda route, args: completion())
    page = {"origin": "https://example.org", "sec-fetch-site": site, "content-type": "text/plain"}
    response = await _ask(probe, "POST", CHAT, json=BODY, headers=page)
    assert response.status_code == 403
    assert "https://example.org" in response.json()["detail"]
    assert "access-control-allow-origin" not in response.headers
    assert probe.calls == []


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ({"auth": {"provider_config": {"type": "oauth2_token"}}}, "server.auth"),
        ({"quota": {"anonymous_max_requests": 1}}, "server.quota"),
        ({"tls_certfile": "a.pem"}, "server.tls_keyfile"),
        ({"cors": {"allow_origin": ["*"]}}, "allow_origin"),
        ({"cors": {"allow_origins": ["*"], "allow_credentials": True}}, "server.cors"),
    ],
)
async def test_what_the_server_cannot_do_is_refused_not_ignored(server: dict[str, Any], place: str) -> None:
    with pytest.raises((Unsupported, ConfigError), match=place) as caught:
        create_app(Probe(lambda route, args: None, server=server))
    assert "'" in str(caught.value) or caught.value.hint or place == "server.cors"


def test_a_policy_of_access_alone_is_no_reason_to_refuse() -> None:
    check(Server(auth={"access_policy": [{"permit": {}}]}))


async def test_the_documents_are_served() -> None:
    async with serving(Probe(lambda route, args: None)) as url, httpx2.AsyncClient(base_url=url) as client:
        document = (await client.get("/openapi.json")).json()
        assert "/v1/chat/completions" in document["paths"]
        assert (await client.get("/docs")).status_code == 200
