"""Packed bodies: small ones stay as they are, streams too, and what comes packed is never unpacked past its limit."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx2
import pytest
import zstandard

from stack_core.errors import InvalidRequest, PayloadTooLarge
from stack_core.server.compression import chosen, unpacked
from tests.stack_core.probe import Pieces, Probe, completion, serving

pytestmark = pytest.mark.slow

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"
LONG = "word " * 2_000


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.9", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("*;q=0", None),
        ("gzip;q=nonsense", None),
    ],
)
def test_the_encoding_is_what_the_client_likes_best(accepted: str, encoding: str | None) -> None:
    assert chosen(accepted) == encoding


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_long_answers_are_packed_and_say_so(encoding: str) -> None:
    async with serving(Probe(lambda route, args: completion(LONG))) as url, httpx2.AsyncClient(base_url=url) as client:
        async with client.stream("POST", CHAT, json=BODY, headers={"accept-encoding": encoding}) as response:
            raw = b"".join([piece async for piece in response.aiter_raw()])
        assert response.headers["content-encoding"] == encoding
        assert response.headers["vary"] == "accept-encoding"
        assert int(response.headers["content-length"]) == len(raw) < 1000
        text = (
            gzip.decompress(raw) if encoding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        )
        assert json.loads(text)["choices"][0]["message"]["content"] == LONG
        plain = await client.post(CHAT, json=BODY, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.headers["vary"] == "accept-encoding"
        document = await client.get("/openapi.json", headers={"accept-encoding": encoding})
        assert document.headers["content-encoding"] == encoding


async def test_short_answers_and_streams_are_not_packed() -> None:
    def answer(route: Any, args: dict[str, Any]) -> Any:
        return Pieces(LONG, LONG)() if args["request"].stream else completion()

    headers = {"accept-encoding": "gzip, zstd"}
    async with serving(Probe(answer)) as url, httpx2.AsyncClient(base_url=url, headers=headers) as client:
        assert "content-encoding" not in (await client.post(CHAT, json=BODY)).headers
        streamed = await client.post(CHAT, json={**BODY, "stream": True})
        assert "content-encoding" not in streamed.headers
        assert streamed.text.count("data: ") == 3


async def test_packing_can_be_switched_off() -> None:
    probe = Probe(lambda route, args: completion(LONG), server={"compress": False})
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        assert "content-encoding" not in (await client.post(CHAT, json=BODY)).headers


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity", "GZIP"])
async def test_a_packed_request_is_unpacked(encoding: str) -> None:
    probe = Probe(lambda route, args: completion(args["request"].messages[0].content))
    text = json.dumps({**BODY, "messages": [{"role": "user", "content": LONG}]}).encode()
    name = encoding.strip().lower()
    body = {"gzip": gzip.compress, "zstd": zstandard.compress}.get(name, bytes)(text)
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.post(CHAT, content=body, headers={"content-encoding": encoding})
        assert answer.json()["choices"][0]["message"]["content"] == LONG


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
async def test_a_bomb_is_413(pack: Any) -> None:
    probe = Probe(lambda route, args: completion(), server={"max_body_bytes": 1_000_000})
    headers = {"content-encoding": "gzip" if pack is gzip.compress else "zstd"}
    async with serving(probe) as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.post(CHAT, content=pack(b" " * 50_000_000), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
        assert probe.calls == []


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [0, 1, 10, -1, -5])
async def test_a_damaged_body_is_refused(encoding: str, cut: int) -> None:
    whole = (gzip.compress if encoding == "gzip" else zstandard.compress)(json.dumps(BODY).encode() * 50)
    with pytest.raises(InvalidRequest, match="damaged"):
        await unpacked(whole[:cut], encoding, 1_000_000)
    with pytest.raises(InvalidRequest, match="damaged"):
        await unpacked(b"\x00" + whole, encoding, 1_000_000)


async def test_an_unknown_encoding_is_refused_and_the_limit_is_exact() -> None:
    with pytest.raises(InvalidRequest, match="'br'"):
        await unpacked(b"x", "br", 10)
    for pack, name in ((gzip.compress, "gzip"), (zstandard.compress, "zstd")):
        assert await unpacked(pack(b"x" * 10), name, 10) == b"x" * 10
        with pytest.raises(PayloadTooLarge):
            await unpacked(pack(b"x" * 11), name, 10)
