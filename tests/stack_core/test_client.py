"""`AsyncStackClient` against a served door: the same objects and the same errors as in process."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from stack_core import AsyncStackClient, context
from stack_core.apis.inference import ChatCompletionChunk
from stack_core.apis.models import DeletedModel, Model, ModelList
from stack_core.errors import (
    InvalidRequest,
    NotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StackError,
)
from tests.stack_core.probe import Pieces, Probe, chunk, completion, serving

HI: list[Any] = [{"role": "user", "content": "hi"}]


async def test_a_call_gives_the_typed_result() -> None:
    probe = Probe(lambda route, args: completion("hello"))
    async with serving(probe) as url, AsyncStackClient(url) as client:
        answer = await client.inference.chat_completion(model="m", messages=HI, temperature=0, vendor=1)
    assert answer == completion("hello")
    request = probe.calls[0][1]["request"]
    assert (request.model, request.temperature, request.vendor, request.stream) == ("m", 0.0, 1, None)


async def test_a_stream_gives_the_typed_chunks() -> None:
    async with serving(Probe(lambda route, args: Pieces("a", "b")())) as url, AsyncStackClient(url + "/v1/") as client:
        stream = await client.inference.chat_completion(model="m", messages=HI, stream=True)
        chunks = [piece async for piece in stream]
    assert chunks == [chunk("a"), chunk("b")]
    assert all(isinstance(piece, ChatCompletionChunk) for piece in chunks)


async def test_paths_queries_and_calls_without_a_result() -> None:
    model = Model(identifier="a/b c", provider_id="a", provider_resource_id="b c")
    answers = {"list_models": ModelList(data=[model]), "get_model": model, "unregister_model": DeletedModel(id="a/b c")}
    probe = Probe(lambda route, args: answers[route.name])
    async with serving(probe) as url, AsyncStackClient(url) as client:
        assert (await client.models.list_models()).data == [model]
        assert await client.models.get_model("a/b c") == model
        assert await client.models.unregister_model(model_id="a/b c") == DeletedModel(id="a/b c")
    assert [args for _, args in probe.calls] == [{}, {"model_id": "a/b c"}, {"model_id": "a/b c"}]


async def test_an_error_comes_back_as_its_own_class() -> None:
    slow = RateLimited("slow down", provider_id="openai")
    slow.retry_after = 1.5
    given: list[StackError] = [NotFound("model", "x", ["xy"]), slow, InvalidRequest("no", "do", errors=[])]
    errors = iter(given)
    async with serving(Probe(lambda route, args: next(errors))) as url, AsyncStackClient(url) as client:
        for error in given:
            with pytest.raises(type(error)) as caught:
                await client.inference.chat_completion(model="x", messages=HI)
            assert (caught.value.message, caught.value.hint) == (error.message, error.hint)
            assert vars(caught.value) == vars(error)


async def test_wrong_arguments_never_leave() -> None:
    probe = Probe(lambda route, args: completion())
    async with serving(probe) as url, AsyncStackClient(url) as client:
        with pytest.raises(InvalidRequest, match="messages"):
            await client.inference.chat_completion(model="m")
    assert probe.calls == []


async def test_an_error_in_a_stream_is_raised_where_it_came() -> None:
    pieces = Pieces("a", then=ProviderError("the service broke off", provider_id="p"))
    async with serving(Probe(lambda route, args: pieces())) as url, AsyncStackClient(url) as client:
        stream = await client.inference.chat_completion(model="m", messages=HI, stream=True)
        assert await anext(stream) == chunk("a")
        with pytest.raises(ProviderError, match="broke off") as caught:
            await anext(stream)
    assert caught.value.provider_id == "p"


@pytest.mark.parametrize("read", [0, 1])
async def test_closing_a_stream_stops_the_call_on_the_server(read: int) -> None:
    pieces = Pieces("a", "b", hold=True)
    async with serving(Probe(lambda route, args: pieces())) as url, AsyncStackClient(url) as client:
        stream = await client.inference.chat_completion(model="m", messages=HI, stream=True)
        for _ in range(read):
            await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(pieces.closed.wait(), 2)


async def test_cancelling_a_call_stops_it_on_the_server() -> None:
    pieces = Pieces("a", hold=True)
    seen = asyncio.Event()

    async def follow(client: AsyncStackClient) -> None:
        async for _ in await client.inference.chat_completion(model="m", messages=HI, stream=True):
            seen.set()

    async with serving(Probe(lambda route, args: pieces())) as url, AsyncStackClient(url) as client:
        task = asyncio.create_task(follow(client))
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(pieces.closed.wait(), 2)


async def test_provider_keys_and_the_api_key_travel_in_headers() -> None:
    seen: list[dict[str, Any]] = []

    def answer(*_: Any) -> Any:
        seen.append(dict(context.provider_data.get()))
        return completion()

    async with serving(Probe(answer)) as url, AsyncStackClient(url, api_key="k", provider_data={"a": "ü"}) as client:
        with context.request_scope(data={"b": 2}):
            await client.inference.chat_completion(model="m", messages=HI)
        await client.inference.chat_completion(model="m", messages=HI)
    assert seen == [{"a": "ü", "b": 2}, {"a": "ü"}]


async def test_no_server_says_how_to_start_one(free_port: Callable[[], int]) -> None:
    port = free_port()
    async with AsyncStackClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(ProviderUnavailable, match=f"no stack answers at http://127.0.0.1:{port}") as caught:
            await client.models.list_models()
    assert caught.value.hint == f"start one with `stack-core run notebook --port {port}`"


async def test_a_server_that_says_nothing_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with AsyncStackClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1) as client:
            with pytest.raises(ProviderTimeout):
                await client.models.list_models()


async def test_another_kind_of_server_is_told_so() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>")
        writer.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncStackClient(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ProviderError, match="not the expected ModelList"):
                await client.models.list_models()


async def test_events_may_be_cut_anywhere() -> None:
    data = json.dumps(chunk("ä").model_dump(), ensure_ascii=False).encode()
    body = b"data: " + data + b"\r\n\r\ndata: [DONE]\r\n\r\n"

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for place in range(len(body)):
            writer.write(body[place : place + 1])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncStackClient(f"http://127.0.0.1:{port}") as client:
            stream = await client.inference.chat_completion(model="m", messages=HI, stream=True)
            assert [piece async for piece in stream] == [chunk("ä")]


@pytest.mark.parametrize("url", ["localhost:8321", "ftp://x", "", "http://", "http://h:99999"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"URL|port"):
        AsyncStackClient(url)


async def test_an_unknown_api_names_the_nearest_and_a_password_is_not_shown() -> None:
    async with AsyncStackClient("http://me:secret-password@localhost:1/v1") as client:
        with pytest.raises(AttributeError, match="did you mean 'inference'"):
            client.inferense  # noqa: B018 - the access is the test
        assert "secret-password" not in repr(client)
        assert "inference" in dir(client)
