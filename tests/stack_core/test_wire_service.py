"""Errors on the wire, and the service that puts the server side together."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from stack_core import errors
from stack_core.apis.inference import ChatCompletionChunk
from stack_core.errors import InvalidRequest, MethodNotAllowed, NotFound, ProviderError, RateLimited, StackError
from stack_core.server.aliases import route_table
from stack_core.wire import faults, results
from stack_core.wire.service import Request, Service
from tests.stack_core.probe import Pieces, Probe, completion

TABLE = route_table()
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


# ---- errors -------------------------------------------------------------------------------------------------------


def _tree(kind: type[StackError]) -> list[type[StackError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]


MADE: dict[type[StackError], StackError] = {
    errors.MissingPackage: errors.MissingPackage("onnxruntime", needed_by="minilm", extra="onnx"),
    errors.NotFound: NotFound("model", "gpt", ["gpt-4", "gpt-5"]),
    errors.MethodNotAllowed: MethodNotAllowed("PUT", "/v1/models", ["POST", "GET"]),
    errors.InvalidRequest: InvalidRequest("no", errors=[{"loc": ["a", 0], "msg": "bad", "type": "t"}]),
    errors.ConfigError: errors.ConfigError("no", "do", where="providers.inference[0]"),
    errors.ProviderError: ProviderError("down", "wait", provider_id="p", upstream_status=500),
}
TREE = [kind for kind in dict.fromkeys(_tree(StackError)) if kind.__module__ == errors.__name__]
CLASSES = [kind for kind in TREE if kind is not errors.RequestError]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_as_the_same_class_with_what_it_knew(kind: type[StackError]) -> None:
    error = MADE.get(kind) or kind("what", "hint")
    headers = dict(faults.headers_of(error))
    back = faults.error_of(error.status, faults.body_of(error), allow=headers.get("allow", ""))
    assert type(back) is kind
    assert vars(back) == {name: getattr(error, name) for name in vars(back)}
    assert str(back) == str(error)


def test_the_body_has_what_both_official_clients_read() -> None:
    body = json.loads(faults.body_of(MADE[errors.InvalidRequest]))
    assert body["detail"] == "no"
    assert body["error"]["detail"] == {"errors": [{"loc": ["a", 0], "msg": "bad", "type": "t"}]}
    assert (body["error"]["message"], body["error"]["code"], body["error"]["param"]) == ("no", "invalid_request", "a.0")
    assert body["error"]["type"] == "invalid_request_error"


def test_a_secret_never_stands_in_a_body() -> None:
    body = faults.body_of(ProviderError("refused: key-123456", provider_id="p"), {"key-123456"})
    assert b"key-123456" not in body
    assert json.loads(body)["detail"] == "refused: ********"


def test_the_wait_is_told_in_whole_seconds_and_read_back() -> None:
    error = RateLimited("slow")
    error.retry_after = 1.2
    assert faults.headers_of(error) == [("retry-after", "2")]
    assert faults.error_of(429, faults.body_of(error)).retry_after == 1.2  # type: ignore[attr-defined]  # RateLimited
    foreign = faults.error_of(429, b'{"detail": "slow"}', retry_after=3.0)
    assert isinstance(foreign, RateLimited)
    assert foreign.retry_after == 3.0


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, b'{"detail": "Model x not found"}', NotFound, "Model x not found"),
        (400, b'{"error": {"detail": {"errors": [{"loc": ["a"], "msg": "m", "type": "t"}]}}}', InvalidRequest, "400"),
        (503, b"<html>bad gateway</html>", errors.ProviderUnavailable, "bad gateway"),
        (418, b'{"error": "teapot"}', InvalidRequest, "teapot"),
        (500, b"", StackError, "answered 500"),
        (500, b'{"error": {"message": null, "code": 7}}', StackError, "answered 500"),
        (502, b'{"error": {"message": "m", "data": {"provider_id": "p", "__class__": 1}}}', ProviderError, "m"),
    ],
)
def test_the_error_of_another_server_goes_by_its_status(status: int, body: bytes, kind: type, message: str) -> None:
    error = faults.error_of(status, body)
    assert type(error) is kind
    assert message in error.message


# ---- the service --------------------------------------------------------------------------------------------------


def _request(verb: str = "POST", path: str = "/v1/chat/completions", body: Any = BODY, **headers: str) -> Request:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(verb, path, "", {name.replace("_", "-"): value for name, value in headers.items()}, text)


async def _frames(service: Service, request: Request) -> tuple[int, list[bytes]]:
    async with service.answer(request) as reply:
        assert reply.frames is not None
        return reply.status, [part async for part in reply.frames]


async def test_a_plain_call_and_one_without_a_result() -> None:
    probe = Probe(lambda route, args: None if route.name == "unregister_shield" else completion("hello"))
    service = Service(probe, TABLE)
    async with service.answer(_request()) as reply:
        assert (reply.status, json.loads(reply.body)["choices"][0]["message"]["content"]) == (200, "hello")
    async with service.answer(_request("DELETE", "/v1/shields/a/b", b"")) as reply:
        assert (reply.status, reply.body) == (204, b"")
    assert [name for name, _ in probe.calls] == ["inference.chat_completion", "shields.unregister_shield"]


async def test_a_stream_ends_with_done_except_for_llama_stacks_clients() -> None:
    service = Service(Probe(lambda route, args: Pieces("a", "b")()), TABLE)
    status, frames = await _frames(service, _request())
    assert (status, len(frames), frames[-1]) == (200, 3, b"data: [DONE]\n\n")
    _, frames = await _frames(service, _request(x_llamastack_client_version="0.0.1"))
    assert len(frames) == 2


async def test_a_stream_that_fails_at_once_has_the_errors_own_status() -> None:
    pieces = Pieces(then=NotFound("model", "x"))
    async with Service(Probe(lambda route, args: pieces()), TABLE).answer(_request()) as reply:
        assert (reply.status, reply.frames) == (404, None)
    assert pieces.closed.is_set()


async def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    for error, code in ((ProviderError("cut"), "provider_error"), (ZeroDivisionError("sk-1"), "internal_error")):
        pieces = Pieces("a", then=error)
        _, frames = await _frames(Service(Probe(lambda route, args, p=pieces: p()), TABLE), _request())
        last = json.loads(frames[-1].removeprefix(b"data: "))
        assert (len(frames), last["error"]["code"]) == (2, code)
        assert "sk-1" not in frames[-1].decode()
        with pytest.raises(StackError, match=r"cut|internal error"):
            results.decode_item(ChatCompletionChunk, frames[-1].removeprefix(b"data: ").strip())


async def test_an_empty_stream_is_only_its_end() -> None:
    assert await _frames(Service(Probe(lambda route, args: Pieces()()), TABLE), _request()) == (
        200,
        [b"data: [DONE]\n\n"],
    )


@pytest.mark.parametrize("read", [0, 1])
async def test_leaving_a_reply_closes_its_stream(read: int) -> None:
    pieces = Pieces("a", "b", hold=True)
    async with Service(Probe(lambda route, args: pieces()), TABLE).answer(_request()) as reply:
        assert reply.frames is not None
        for _ in range(read):
            await anext(reply.frames)
        assert not pieces.closed.is_set()
    await asyncio.wait_for(pieces.closed.wait(), 1)


async def test_a_bug_is_a_500_that_tells_nothing_but_the_log(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(Probe(lambda route, args: KeyError("sk-inside")), TABLE)
    async with service.answer(_request()) as reply:
        assert reply.status == 500
        assert b"sk-inside" not in reply.body
    assert "KeyError" in caplog.text


async def test_provider_keys_hold_for_the_call_and_its_whole_stream_and_no_longer() -> None:
    pieces = Pieces("a", "b")
    service = Service(Probe(lambda route, args: pieces()), TABLE)
    await _frames(service, _request(x_llamastack_provider_data='{"k": 1}'))
    assert pieces.keys == [{"k": 1}, {"k": 1}]
    other = Pieces("a")
    await _frames(Service(Probe(lambda route, args: other()), TABLE), _request())
    assert other.keys == [{}]


async def test_malformed_provider_keys_are_refused_before_the_call() -> None:
    probe = Probe(lambda route, args: completion())
    async with Service(probe, TABLE).answer(_request(x_ogx_provider_data="[")) as reply:
        assert reply.status == 400
        assert b"X-OGX-Provider-Data" in reply.body
    assert probe.calls == []
