"""Retries, proxies, timeouts and event streams, against services on real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stack_core import http
from stack_core.errors import ConfigError
from stack_core.http import EventParser, Network, open_client, retry_after
from tests.stack_core.providers.inference.service import Asked, Reply, service

# ---- event streams ----------------------------------------------------------------------------------------------


def parsed(*pieces: bytes) -> list[tuple[str, bytes]]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.finish()


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data:a\r\n\r\ndata: b\r\r", [("", b"a"), ("", b"b")]),
        (b": keep-alive\n\n\n\n: OPENROUTER PROCESSING\ndata: a\n\n", [("", b"a")]),
        (b"data: a\ndata: b\ndata\n\n", [("", b"a\nb\n")]),
        (b"event: error\nid: 7\nretry: 10\ndata: {}\n\ndata: x\n\n", [("error", b"{}"), ("", b"x")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"data: a", [("", b"a")]),
        (b"data:  two\n\n", [("", b" two")]),
        (b"event: ping\n\ndata: a\n\n", [("", b"a")]),
        (b"", []),
    ],
)
def test_events(text: bytes, events: list[tuple[str, bytes]]) -> None:
    assert parsed(text) == events
    assert parsed(*(text[i : i + 1] for i in range(len(text)))) == events


_value = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
_newline = st.sampled_from(["\n", "\r\n", "\r"])


@given(
    st.lists(st.lists(_value, min_size=1, max_size=3), max_size=5), _newline, st.lists(st.integers(0, 400)), st.data()
)
def test_events_do_not_depend_on_how_the_body_is_cut(
    events: list[list[str]], newline: str, cuts: list[int], data: st.DataObject
) -> None:
    comment = data.draw(st.sampled_from(["", f": c{newline}", newline]))
    lines = "".join(comment + "".join(f"data: {line}{newline}" for line in event) + newline for event in events)
    text = lines.encode()
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert parsed(*pieces) == [("", "\n".join(event).encode()) for event in events]


# ---- retries ----------------------------------------------------------------------------------------------------


async def answers(*replies: tuple[int, dict[str, str], str], retries: int = 2) -> tuple[int, int, float]:
    """(status, how often the service was asked, seconds) when it gives these answers in turn, the last one for ever."""
    left = list(replies)

    async def answer(asked: Asked, reply: Reply) -> None:
        status, headers, text = left.pop(0) if len(left) > 1 else left[0]
        await reply.text(text, status, **headers)

    async with service(answer) as running, open_client(running.url, retries=retries) as client:
        start = time.monotonic()
        response = await client.post("/x", content=b"{}")
        return response.status_code, len(running.asked), time.monotonic() - start


OK = (200, dict[str, str](), "{}")
SOON = {"retry-after-ms": "1"}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_what_may_pass_is_repeated(status: int) -> None:
    assert (await answers((status, SOON, ""), (status, SOON, ""), OK))[:2] == (200, 3)


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
async def test_what_will_not_pass_is_not_repeated(status: int) -> None:
    assert (await answers((status, SOON, ""), OK))[:2] == (status, 1)


async def test_the_number_of_repeats_is_a_setting() -> None:
    assert (await answers((503, SOON, ""), retries=0))[:2] == (503, 1)
    assert (await answers((503, SOON, ""), retries=4))[:2] == (503, 5)


async def test_the_service_decides() -> None:
    assert (await answers((429, {**SOON, "x-should-retry": "false"}, ""), OK))[:2] == (429, 1)
    assert (await answers((400, {**SOON, "x-should-retry": "true"}, ""), OK))[:2] == (200, 2)


async def test_a_wait_is_as_long_as_asked() -> None:
    status, asked, seconds = await answers((429, {"retry-after": "0.3"}, ""), OK)
    assert (status, asked) == (200, 2)
    assert 0.3 <= seconds < 2


async def test_a_wait_that_is_too_long_gives_the_answer_back() -> None:
    status, asked, seconds = await answers((429, {"retry-after": "3600"}, "busy"), OK)
    assert (status, asked) == (429, 1)
    assert seconds < 1


async def test_an_empty_account_is_not_asked_again() -> None:
    assert (await answers((429, {}, '{"error": {"code": "insufficient_quota"}}'), OK))[:2] == (429, 1)


async def test_a_connection_that_drops_before_the_answer_is_made_again() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        if len(running.asked) == 1:
            reply.writer.transport.abort()
        else:
            await reply.json({})

    async with service(answer) as running, open_client(running.url) as client:
        assert (await client.post("/x", content=b"{}")).status_code == 200
        assert len(running.asked) == 2


async def test_nothing_is_repeated_once_a_stream_has_begun() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        await reply.piece(b"data: a\n\n")
        reply.writer.transport.abort()

    async with service(answer) as running, open_client(running.url) as client:
        async with client.stream("POST", "/x", content=b"{}") as response:
            with pytest.raises(http.HTTPError):
                async for _ in http.body_of(response):
                    pass
        assert len(running.asked) == 1


async def test_a_body_that_can_be_read_once_is_sent_once() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.text("", 503, **SOON)

    async with service(answer) as running, open_client(running.url) as client:
        response = await client.post("/x", content=pieces(), headers={"content-length": "2"})
        assert (response.status_code, len(running.asked)) == (503, 1)


async def test_a_closed_port_of_this_machine_fails_without_a_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service(lambda asked, reply: reply.json({})) as running:
        url = running.url
    waits: list[float] = []
    monkeypatch.setattr(http, "_jittered", lambda delay: waits.append(delay) or 0.0)
    async with open_client(url) as client:
        with pytest.raises(http.ConnectError):
            await client.get("/x")
    assert waits == []


def test_how_long_a_service_asks_to_wait() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after-ms": "x", "retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after": "soon"}) is None
    assert [retry_after({"retry-after": text}) for text in ("inf", "nan", "1e999")] == [None, None, None]
    assert retry_after({}) is None
    wait = retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert wait is not None
    assert 25 < wait <= 30
    assert retry_after({"retry-after": formatdate(time.time() - 30, usegmt=True)}) == 0


# ---- connections ------------------------------------------------------------------------------------------------


async def test_connections_are_kept_and_many_calls_fit() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.json({})

    async with service(answer) as running, open_client(running.url) as client:
        for _ in range(5):
            await client.get("/x")
        assert running.connections == 1
        replies = await asyncio.gather(*(client.get("/x") for _ in range(100)))
        assert {reply.status_code for reply in replies} == {200}


async def test_a_slow_answer_times_out() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await asyncio.Event().wait()

    async with service(answer) as running:
        for network in (Network(timeout=0.05), Network.model_validate({"timeout": {"read": 0.05}})):
            async with open_client(running.url, network=network) as client:
                with pytest.raises(http.ReadTimeout):
                    await client.get("/x")


async def test_headers_of_the_network_win() -> None:
    async with service(lambda asked, reply: reply.json({})) as running:
        network = Network(headers={"x-team": "blue"})
        async with open_client(running.url, network=network, headers={"x-team": "red", "x-own": "1"}) as client:
            await client.get("/x")
        sent = running.asked[0].headers
        assert (sent["x-team"], sent["x-own"]) == ("blue", "1")
        assert sent["user-agent"].startswith("llama-magics/")


@pytest.mark.parametrize("by", ["environment", "settings"])
async def test_proxies(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.json({"via": "proxy" if asked.target.startswith("http://") else "direct"})

    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with service(answer) as running:
        network = None
        if by == "environment":
            monkeypatch.setenv("http_proxy", running.url.removeprefix("http://"))
            monkeypatch.setenv("no_proxy", "unreachable.invalid,.inner.invalid")
        else:
            network = Network.model_validate({"proxy": {"url": running.url, "no_proxy": ["unreachable.invalid"]}})
        async with open_client(network=network, retries=0) as client:
            assert (await client.get("http://service.invalid/x")).json() == {"via": "proxy"}
            assert (await client.get(f"{running.url}/x")).json() == {"via": "direct"}
            with pytest.raises(http.ConnectError):
                await client.get("http://unreachable.invalid/x")


@pytest.mark.parametrize(
    ("entry", "host", "covered"),
    [
        ("*", "a.b", True),
        ("b.c", "a.b.c", True),
        (".b.c", "a.b.c", True),
        ("*.b.c", "a.b.c", True),
        ("b.c", "ab.c", False),
        ("b.c:443", "b.c", True),
        ("b.c:80", "b.c", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
    ],
)
def test_what_goes_past_the_proxy(entry: str, host: str, covered: bool) -> None:
    assert http._covers(entry, host, 443) is covered


async def test_a_unix_socket(tmp_path: Path) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(connected, path)
    async with server, open_client("http://engine", uds=path) as client:
        assert (await client.get("/x")).text == "hi"


def test_one_tls_context_for_equal_settings(tmp_path: Path) -> None:
    same = http._tls_context(http.TLS().model_dump_json())
    assert http._tls_context(http.TLS(verify=True).model_dump_json()) is same
    assert http._tls_context(http.TLS(min_version="TLSv1.3").model_dump_json()) is not same
    for faulty in (http.TLS(verify=tmp_path / "absent.pem"), http.TLS(ciphers=["NONSENSE"])):
        with pytest.raises(ConfigError, match=r"network\.tls"):
            http._tls_context(faulty.model_dump_json())


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError):
        Network.model_validate({"tsl": {}})


async def test_a_proxy_that_is_none() -> None:
    network = Network.model_validate({"proxy": {"url": "nonsense://u:pw@host"}})
    async with open_client(network=network) as client:
        with pytest.raises(ConfigError, match=r"network\.proxy") as caught:
            await client.get("http://h.invalid/")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("value", ["na\u00efve", "a\nb"])
def test_a_header_that_cannot_be_sent(value: str) -> None:
    with pytest.raises(ValidationError):
        Network.model_validate({"headers": {"x": value}})
