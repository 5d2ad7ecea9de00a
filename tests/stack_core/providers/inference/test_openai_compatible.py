"""What the adapter makes of services that misbehave: streams, errors, model lists, keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack_core import errors
from stack_core.apis.inference import ChatCompletionChunk, ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from stack_core.context import request_scope
from stack_core.http import open_client
from stack_core.providers._refusals import About, Refusals
from stack_core.providers.inference._chunks import ChatStream
from stack_core.providers.inference._pieces import Thoughts
from stack_core.providers.inference.openai_compatible import OpenAICompatible
from tests.stack_core.providers.inference.service import Asked, Reply, Service, build, event, service

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def ask(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({**HELLO, **fields})


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return {"id": "up", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [choice]}


def call_piece(**piece: Any) -> dict[str, Any]:
    return delta(tool_calls=[piece])


def mended(*payloads: dict[str, Any], tags: tuple[str, str] | None = None) -> list[ChatCompletionChunk]:
    stream = ChatStream("m", tags)
    chunks = [stream.feed(json.loads(json.dumps(payload))) for payload in payloads]
    return [*(chunk for chunk in chunks if chunk), *stream.finish()]


def calls_in(chunks: list[ChatCompletionChunk]) -> list[tuple[str, str, str]]:
    """(id, name, arguments) of each call, pieces appended."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or []:
                assert piece.function is not None
                call = calls.setdefault(piece.index, ["", "", ""])
                for place, text in enumerate((piece.id, piece.function.name, piece.function.arguments)):
                    call[place] += text or ""
    return [(a, b, c) for a, b, c in calls.values()]


def finishes(chunks: list[ChatCompletionChunk]) -> list[str]:
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


# ---- streams, without a wire ------------------------------------------------------------------------------------


def test_calls_without_an_index_are_numbered_by_their_ids() -> None:
    chunks = mended(
        call_piece(id="a", function={"name": "f", "arguments": '{"x"'}),
        call_piece(function={"arguments": ":1}"}),
        call_piece(id="b", function={"name": "g", "arguments": "{}"}, extra_content={"google": {"s": 1}}),
        delta(finish="stop"),
    )
    assert calls_in(chunks) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]
    assert finishes(chunks) == ["tool_calls"]
    assert chunks[2].choices[0].delta.tool_calls[0].model_extra == {"extra_content": {"google": {"s": 1}}}  # type: ignore[index]  # asserted above


def test_whole_calls_that_all_say_index_zero_are_parted() -> None:
    chunks = mended(*(call_piece(index=0, id=i, function={"name": "f", "arguments": "{}"}) for i in ("a", "b")))
    assert calls_in(chunks) == [("a", "f", "{}"), ("b", "f", "{}")]


def test_ids_and_names_come_once() -> None:
    pieces = [call_piece(index=0, id="0", type="function", function={"name": n, "arguments": t})
              for n, t in (("f", "{"), ("", '"a":'), ("f", "1}"))]  # fmt: skip
    chunks = mended(*pieces)
    assert calls_in(chunks) == [("0", "f", '{"a":1}')]
    assert finishes(chunks) == ["tool_calls"]  # no finish chunk came at all


def test_a_call_without_id_gets_one_and_object_arguments_become_text() -> None:
    [(identity, name, arguments)] = calls_in(mended(call_piece(function={"name": "f", "arguments": {"a": [1]}})))
    assert identity.startswith("call_")
    assert (name, json.loads(arguments)) == ("f", {"a": [1]})


def test_two_calls_with_the_same_id_get_ids_of_their_own() -> None:
    chunks = mended(*(call_piece(index=i, id="0", function={"name": "f", "arguments": ""}) for i in (0, 1)))
    assert len({identity for identity, _, _ in calls_in(chunks)}) == 2


def test_empty_chunks_pass_their_extras_on_and_padding_goes() -> None:
    first = {**delta(), "choices": [], "model": "", "object": "", "prompt_filter_results": [{"x": 1}]}
    chunks = mended(first, {**delta("hi"), "obfuscation": "xxx"}, delta(finish="stop"))
    assert chunks[0].model_extra == {"prompt_filter_results": [{"x": 1}]}
    assert [c.choices[0].delta.content for c in chunks] == ["hi", None]
    assert {chunk.id for chunk in chunks} == {chunks[0].id} != {"up"}


def test_usage_comes_once_and_last() -> None:
    counts = [{"prompt_tokens": 1, "completion_tokens": n, "total_tokens": 1 + n} for n in (1, 2, 3)]
    chunks = mended(*({**delta("a"), "usage": u} for u in counts))
    assert [bool(chunk.usage) for chunk in chunks] == [False, False, False, False, True]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.completion_tokens, chunks[-1].usage.total_tokens) == (3, 4)


def test_usage_in_other_places() -> None:
    cached = {"prompt_tokens": 5, "completion_tokens": None, "prompt_cache_hit_tokens": 3}
    [*_, last] = mended({**delta("a"), "x_groq": {"id": "r", "usage": cached}})
    assert last.usage is not None
    assert (last.usage.total_tokens, last.usage.completion_tokens) == (5, 0)
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens == 3


def test_interleaved_answers() -> None:
    second = delta("two", role="assistant")
    second["choices"][0]["index"] = 1
    chunks = mended(delta("one", role="assistant"), second, delta(finish="length"))
    assert [(c.index, c.finish_reason) for chunk in chunks for c in chunk.choices if c.finish_reason] == [
        (0, "length"),
        (1, "stop"),
    ]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_has_one_name(name: str) -> None:
    first = mended(delta(None, **{name: "hmm"}))[0].choices[0].delta
    assert first.reasoning_content == "hmm"
    assert "reasoning" not in (first.model_extra or {})


def test_content_lists_are_parted() -> None:
    blocks = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
    first = mended(delta(blocks))[0].choices[0].delta  # type: ignore[arg-type]  # what Mistral sends
    assert (first.content, first.reasoning_content) == ("yes", "hm")


def test_times_are_mended() -> None:
    assert mended({**delta("a"), "created": 1_700_000_000_123})[0].created == 1_700_000_000
    assert mended({**delta("a"), "created": None})[0].created > 1_700_000_000


@given(st.text("<think>/ab\n ", max_size=30), st.sampled_from(["", "<think>", "\n<think>\n"]), st.data())
def test_thoughts_do_not_depend_on_how_the_text_is_cut(text: str, start: str, data: st.DataObject) -> None:
    whole = start + text
    one = Thoughts(("<think>", "</think>"))
    expected = [a + b for a, b in zip(one.split(whole), one.flush(), strict=True)]
    cut = Thoughts(("<think>", "</think>"))
    got = ["", ""]
    while whole:
        size = data.draw(st.integers(1, 9))
        got = [a + b for a, b in zip(got, cut.split(whole[:size]), strict=True)]
        whole = whole[size:]
    got = [a + b for a, b in zip(got, cut.flush(), strict=True)]
    assert [part.strip("\n") for part in got] == [part.strip("\n") for part in expected]


# ---- streams over a wire ----------------------------------------------------------------------------------------


async def opened(provider: OpenAICompatible, **fields: Any) -> AsyncIterator[ChatCompletionChunk]:
    stream = await provider.chat_completion(ask(stream=True, **fields))
    assert isinstance(stream, AsyncIterator)
    return stream


async def test_a_stream_is_tolerant() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        text = b": keep-alive\n\n\n" + event(delta("gr\u00fc\u00df", role="assistant")).replace(
            b"\\u00fc", "ü".encode()
        )
        for i in range(len(text)):
            await reply.piece(text[i : i + 1])
        await reply.piece(event(delta(" dich")).replace(b"data: ", b"data:").replace(b"\n", b"\r\n"))
        await reply.close()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        chunks = [chunk async for chunk in await opened(provider)]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "grüß dich"
    assert finishes(chunks) == ["stop"]


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (event({"error": {"message": "slow down", "code": 429}}), errors.RateLimited),
        (event({"error": {"message": "busy", "type": "overloaded_error"}}), errors.ProviderUnavailable),
        (event({"error": "it broke", "error_type": "generation"}), errors.ProviderError),
        (b"event: error\ndata: {\"message\": \"boom\"}\n\n", errors.ProviderError),
        (event({"error": {"type": "authentication_error", "message": "x"}, "type": "error"}),
         errors.ProviderAuthFailed),
        (b"data: {not json\n\n", errors.ProviderError),
        (event({"choices": "none"}), errors.ProviderError),
    ],
)  # fmt: skip
async def test_an_error_inside_a_stream(last: bytes, kind: type[Exception]) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        await reply.piece(event(delta("first")) + last)
        await asyncio.Event().wait()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        stream, texts = await opened(provider), []
        with pytest.raises(kind) as caught:
            texts += [chunk.choices[0].delta.content async for chunk in stream]
        assert type(caught.value) is kind
        await asyncio.wait_for(running.hung_up.wait(), 2)


async def test_chunks_before_an_error_are_given_out() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.events([delta("first"), {"error": {"message": "late", "code": 503}}])

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        stream = await opened(provider)
        assert (await anext(stream)).choices[0].delta.content == "first"
        with pytest.raises(errors.ProviderUnavailable, match="late"):
            await anext(stream)


@pytest.mark.parametrize("text", [b"", b"data: [DONE]\n\n", b": nothing\n\n"])
async def test_a_stream_of_nothing_is_an_error(text: bytes) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        if text:
            await reply.piece(text)
        await reply.close()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        with pytest.raises(errors.ProviderError, match="before anything came"):
            await anext(await opened(provider))


async def test_a_connection_that_breaks_in_the_middle() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        await reply.piece(event(delta("first")))
        reply.writer.transport.abort()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        with pytest.raises(errors.ProviderUnavailable, match="in the middle"):
            [chunk async for chunk in await opened(provider)]
        assert len(running.asked) == 1


async def endless(asked: Asked, reply: Reply) -> None:
    await reply.open()
    await reply.piece(event(delta("first")))
    await asyncio.Event().wait()


async def test_closing_a_stream_closes_the_connection() -> None:
    async with service(endless) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        stream = await opened(provider)
        await anext(stream)
        assert not running.hung_up.is_set()
        await stream.aclose()  # type: ignore[attr-defined]  # what a stream offers besides the iterator
        await asyncio.wait_for(running.hung_up.wait(), 2)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_closing_an_unread_stream_closes_the_connection() -> None:
    async with service(endless) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        await (await opened(provider)).aclose()  # type: ignore[attr-defined]  # as above
        await asyncio.wait_for(running.hung_up.wait(), 2)


@pytest.mark.parametrize("stream", [True, False])
async def test_cancelling_closes_the_connection(stream: bool) -> None:
    began = asyncio.Event()

    async def answer(asked: Asked, reply: Reply) -> None:
        began.set()
        if stream:
            await endless(asked, reply)
        await asyncio.Event().wait()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:

        async def call() -> None:
            result = await provider.chat_completion(ask(stream=stream))
            assert isinstance(result, AsyncIterator)
            [chunk async for chunk in result]

        task = asyncio.create_task(call())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(running.hung_up.wait(), 2)


async def test_a_stream_that_was_read_leaves_its_connection_for_the_next() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        await reply.piece(event(delta("a", "stop")) + b"data: [DONE]\n\n")
        await asyncio.sleep(0.01)  # the end of the body comes in a packet of its own
        await reply.close()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        for _ in range(5):
            assert len([chunk async for chunk in await opened(provider)]) == 1
        assert (len(running.asked), running.connections) == (5, 1)


async def test_a_service_that_never_ends_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    from stack_core.providers.inference import openai_compatible

    monkeypatch.setattr(openai_compatible, "LINGER_SECONDS", 0.02)

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.open()
        await reply.piece(event(delta("a", "stop")) + b"data: [DONE]\n\n")
        await asyncio.Event().wait()

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        assert len([chunk async for chunk in await opened(provider)]) == 1
        await asyncio.wait_for(running.hung_up.wait(), 2)


async def test_health(monkeypatch: pytest.MonkeyPatch) -> None:
    from stack_core.providers.inference import openai_compatible

    served = {"/api/version": {}, "/health": {}, "/v1/models": listing("a")}

    async def answer(asked: Asked, reply: Reply) -> None:
        if asked.headers.get("authorization") == "Bearer slow":
            await asyncio.Event().wait()
        await reply.json(served.get(asked.path, {}), 200 if asked.path in served else 404)

    async with service(answer) as running:
        for type_id in ("remote::ollama", "remote::vllm", "remote::llama-cpp-server", "remote::openai"):
            async with build(type_id, url=running.url, api_key="k") as provider:
                assert (await provider.health()).status == "OK"
        assert [asked.path for asked in running.asked] == ["/api/version", "/health", "/health", "/v1/models"]
        assert (await build("remote::openai", url=running.url).health()).status == "Error"
        monkeypatch.setattr(openai_compatible, "HEALTH_SECONDS", 0.05)
        async with build("remote::openai", url=running.url, api_key="slow") as provider:
            assert "did not answer" in ((await provider.health()).message or "")


async def test_one_client_serves_many_calls_at_once() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.events([delta(asked.json["messages"][0]["content"], finish="stop")])

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:

        async def one(number: int) -> str:
            stream = await opened(provider, messages=[{"role": "user", "content": str(number)}])
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        assert await asyncio.gather(*map(one, range(100))) == [str(number) for number in range(100)]


# ---- errors -----------------------------------------------------------------------------------------------------

TOO_LONG = "This model's maximum context length is 8192 tokens"
ERRORS = [
    (401, {"error": {"message": "bad key"}}, errors.ProviderAuthFailed),
    (403, {"message": "no"}, errors.ProviderAuthFailed),
    (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
     errors.ProviderAuthFailed),
    (429, {"error": {"message": "slow"}}, errors.RateLimited),
    (413, {"error": {"message": "Request too large: tokens per minute", "code": "rate_limit_exceeded"}},
     errors.RateLimited),
    (400, {"error": {"message": TOO_LONG, "code": "context_length_exceeded"}}, errors.ContextTooLong),
    (400, {"object": "error", "message": TOO_LONG, "code": 400}, errors.ContextTooLong),
    (422, {"error": "`inputs` must have less than 10 tokens: max_total_tokens", "error_type": "validation"},
     errors.ContextTooLong),
    (400, {"error": {"code": "content_filter", "message": "blocked", "innererror": {"code": "x"}}},
     errors.ContentFiltered),
    (404, {"error": {"message": "model 'x' not found, try pulling it first"}}, errors.NotFound),
    (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, errors.NotFound),
    (404, {"errors": [{"code": "model_not_supported", "message": "Model 'x' is not supported"}], "trace": "t"},
     errors.NotFound),
    (404, "<html><head><title>t</title></head><body>Not Found</body></html>", errors.ProviderError),
    (400, {"message": "bad field", "type": "invalid_request_error", "param": "n", "code": "wrong"},
     errors.InvalidRequest),
    (422, {"detail": [{"loc": ["body", "n"], "msg": "extra fields", "type": "extra_forbidden"}]},
     errors.InvalidRequest),
    (400, {"error_code": "BAD_REQUEST", "message": "bad"}, errors.InvalidRequest),
    (402, {"error": {"message": "Insufficient Balance"}}, errors.ProviderError),
    (408, "", errors.ProviderTimeout),
    (504, "upstream timeout", errors.ProviderTimeout),
    (503, {"error": {"message": "Loading model", "type": "unavailable_error"}}, errors.ProviderUnavailable),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
     errors.ProviderUnavailable),
    (500, {"error": {"message": "boom"}}, errors.ProviderError),
    (501, {"title": "Not Implemented", "status": 501, "detail": "no"}, errors.Unsupported),
    (302, "", errors.ProviderError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_errors_of_all_shapes(status: int, body: Any, kind: type[errors.StackError]) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    error = Refusals("svc").from_response(status, text.encode(), {"retry-after": "7"}, About("x", ("sk-secret-1",)))
    assert type(error) is kind
    assert "svc" in error.message or isinstance(error, errors.NotFound)
    if isinstance(error, errors.ProviderError):
        assert (error.provider_id, error.upstream_status) == ("svc", status)
    if isinstance(error, errors.RateLimited):
        assert error.retry_after == 7
    if isinstance(error, errors.NotFound):
        assert error.id == "x"
    assert "<" not in error.message


def test_messages_are_short_and_hold_no_key() -> None:
    said = {"error": {"message": "Incorrect key sk-secret-1, sent as Bearer abcdefgh12345. " + "x" * 5000}}
    error = Refusals("svc").from_response(401, json.dumps(said).encode(), {}, About("m", ("sk-secret-1",)))
    assert "sk-secret-1" not in error.message
    assert "abcdefgh12345" not in error.message
    assert len(error.message) < 550


async def test_no_secret_of_the_configuration_is_repeated() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.json({"error": {"message": f"who is {asked.headers['authorization'][7:]}?"}}, 401)

    async with (
        service(answer) as running,
        build("remote::gemini", url=running.url, access_token="ya29-token-1") as provider,
    ):
        with pytest.raises(errors.ProviderAuthFailed) as caught:
            await provider.chat_completion(ask())
    assert "ya29-token-1" not in caught.value.message


@pytest.mark.parametrize("usage", ["x", {"prompt_tokens": "x"}, {"prompt_tokens": 1, "completion_tokens_details": "x"}])
async def test_token_counts_that_cannot_be_read(usage: Any) -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.events([{**delta("hi", "stop"), "usage": usage}])

    async with service(answer) as running, build("remote::openai", url=running.url, api_key="k") as provider:
        stream: Any = await provider.chat_completion(ask(stream=True))
        with pytest.raises(errors.ProviderError, match="cannot be read"):
            async for _ in stream:
                pass


async def test_nobody_listens() -> None:
    async with service(lambda asked, reply: reply.json({})) as running:
        url = running.url
    async with build("remote::ollama", url=url) as provider:
        with pytest.raises(errors.ProviderUnavailable, match=f"cannot reach ollama at {url}") as caught:
            await provider.chat_completion(ask())
        assert caught.value.hint == "start it with: ollama serve"
        health = await provider.health()
        assert health.status == "Error"
        assert "ollama serve" in (health.message or "")


@pytest.mark.parametrize(
    "text", ['{"choices": []}', "not json", "", "[]", '{"choices": [{}]}', '{"choices": null}', "7"]
)
async def test_an_answer_that_cannot_be_read(text: str) -> None:
    async with (
        service(lambda asked, reply: reply.text(text)) as running,
        build("remote::openai", url=running.url, api_key="k") as provider,
    ):
        with pytest.raises(errors.ProviderError, match="cannot be read"):
            await provider.chat_completion(ask())
        with pytest.raises(errors.ProviderError, match="cannot be read"):
            await provider.embeddings(EmbeddingRequest(model="m", input="x"))


# ---- models -----------------------------------------------------------------------------------------------------


def listing(*rows: Any) -> Any:
    return {"object": "list", "data": [row if isinstance(row, dict) else {"id": row} for row in rows]}


async def test_a_model_list_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from stack_core.providers.inference import openai_compatible

    async with service(lambda asked, reply: reply.json(listing("a", "text-embedding-3-small"))) as running:
        async with build("remote::openai", "mine", url=running.url, api_key="k") as provider:
            first = await provider.models()
            assert await provider.models() == first
            assert len(running.asked) == 1
        async with build("remote::openai", url=running.url, api_key="k", refresh_models=True) as provider:
            monkeypatch.setattr(openai_compatible, "FRESH_SECONDS", 0.0)
            await provider.models()
            await provider.models()
            assert len(running.asked) == 3
    assert [model.identifier for model in first] == ["mine/a", "mine/text-embedding-3-small"]
    assert [model.model_type for model in first] == ["llm", "embedding"]
    assert first[1].metadata == {"embedding_dimension": 1536, "context_length": 8192}


async def test_a_tag_may_be_left_out_at_ollama() -> None:
    async with service(lambda asked, reply: reply.json(listing("a:latest", "b:1b"))) as running:
        async with build("remote::ollama", url=running.url, allowed_models=["a"]) as provider:
            assert [model.provider_resource_id for model in await provider.models()] == ["a:latest"]
            with pytest.raises(errors.NotFound) as caught:
                await provider.chat_completion(ask(model="b:1b"))
    assert caught.value.hint == "allowed_models of ollama: a"


async def test_lists_of_other_shapes() -> None:
    served: dict[str, Any] = {
        "/v1/models": [{"id": "emb", "type": "embedding", "context_length": 512}, {"id": "r", "type": "rerank"}],
        "/info": {"model_id": "org/one", "max_total_tokens": 4096},
        "/api/2.0/serving-endpoints": {"endpoints": [{"name": "e", "task": "llm/v1/embeddings"}, {"name": None}]},
        "/ml/v1/foundation_model_specs": {"resources": [
            {"model_id": "ibm/e", "functions": [{"id": "embedding"}],
             "model_limits": {"embedding_dimension": 768, "max_sequence_length": 512}}]},
    }  # fmt: skip
    async with service(lambda asked, reply: reply.json(served[asked.path])) as running:

        async def found(type_id: str) -> list[tuple[str, str, dict[str, Any]]]:
            async with build(type_id, url=running.url, api_key="k") as provider:
                provider._upstream._access = type("Open", (), {"admit": staticmethod(_admit)})()
                return [(m.provider_resource_id, m.model_type, m.metadata) for m in await provider.models()]

        assert await found("remote::together") == [("emb", "embedding", {"context_length": 512}), ("r", "rerank", {})]
        assert await found("remote::tgi") == [("org/one", "llm", {"context_length": 4096})]
        assert await found("remote::databricks") == [("e", "embedding", {})]
        sizes = {"context_length": 512, "embedding_dimension": 768}
        assert await found("remote::watsonx") == [("ibm/e", "embedding", sizes)]


async def _admit(call: Any, target: Any, upstream: Any) -> None:
    """Let everything through."""


async def test_pages_of_anthropics_list() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == ("k", "2023-06-01")
        if "after_id=a" in asked.target:
            await reply.json({"data": [{"type": "model", "id": "b"}], "has_more": False, "last_id": "b"})
        else:
            await reply.json({"data": [{"type": "model", "id": "a"}], "has_more": True, "last_id": "a"})

    async with service(answer) as running, build("remote::anthropic", url=running.url, api_key="k") as provider:
        assert [model.identifier for model in await provider.models()] == ["anthropic/a", "anthropic/b"]


async def test_services_without_a_list() -> None:
    async with build("remote::vertexai", project="p", access_token="t", allowed_models=["google/new"]) as provider:
        assert [model.provider_resource_id for model in await provider.models()] == ["google/new"]
        assert (await provider.health()).status == "Not Implemented"
    async with service(lambda asked, reply: reply.json({"message": "no route"}, 404)) as running:
        async with build("remote::bedrock", url=running.url, api_key="k", allowed_models=["x"]) as provider:
            assert [model.provider_resource_id for model in await provider.models()] == ["x"]


# ---- keys -------------------------------------------------------------------------------------------------------


async def hello(running: Service, provider: OpenAICompatible) -> dict[str, str]:
    """The headers of one call."""
    await provider.completion(CompletionRequest(model="m", prompt="x"))
    return running.asked[-1].headers


async def plain(asked: Asked, reply: Reply) -> None:
    await reply.json({"choices": [{"text": "ok", "message": {"content": "ok"}}]})


async def test_a_callers_key_takes_the_place_of_the_configured_one() -> None:
    async with service(plain) as running, build("remote::openai", url=running.url, api_key="own") as provider:
        assert (await hello(running, provider))["authorization"] == "Bearer own"
        with request_scope(data={"openai_api_key": "theirs", "groq_api_key": "other"}):
            assert (await hello(running, provider))["authorization"] == "Bearer theirs"
        assert (await hello(running, provider))["authorization"] == "Bearer own"
        assert running.connections == 1


async def test_the_configured_key_does_not_follow_a_callers_address() -> None:
    async with service(plain) as running:
        async with build("remote::passthrough", url="http://127.0.0.1:9", api_key="own") as provider:
            with request_scope(data={"passthrough_url": running.url}):
                assert "authorization" not in await hello(running, provider)
            with request_scope(data={"passthrough_url": running.url, "passthrough_api_key": "theirs"}):
                assert (await hello(running, provider))["authorization"] == "Bearer theirs"
        async with build("remote::azure", api_base="http://127.0.0.1:9", api_key="own") as provider:
            with request_scope(data={"azure_api_base": running.url}):
                with pytest.raises(errors.MissingCredential):
                    await hello(running, provider)


async def test_images_are_fetched_for_services_that_fetch_none() -> None:
    async def answer(asked: Asked, reply: Reply) -> None:
        if asked.path == "/cat.png":
            assert "authorization" not in asked.headers
            await reply.text("PNG", 200, **{"content-type": "image/png"})
        elif asked.path == "/page":
            await reply.text("<html>", 200, **{"content-type": "text/html"})
        else:
            await plain(asked, reply)

    async with service(answer) as running, build("remote::ollama", url=running.url, api_key="k") as provider:

        def picture(url: str) -> ChatCompletionRequest:
            part = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
            return ask(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, part]}])

        await provider.chat_completion(picture(f"{running.url}/cat.png"))
        sent = running.asked[-1].json["messages"][0]["content"][1]
        assert sent == {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H", "detail": "low"}}
        with pytest.raises(errors.InvalidRequest, match="is no image"):
            await provider.chat_completion(picture(f"{running.url}/page"))


async def test_the_client_is_opened_late_and_closed() -> None:
    async with service(plain) as running:
        provider = build("remote::openai", url=running.url, api_key="k")
        assert provider._upstream._client is None
        await hello(running, provider)
        client = provider._upstream.client
        await provider.__aexit__(None, None, None)
        assert client.is_closed
        await asyncio.wait_for(running.hung_up.wait(), 2)


def test_opening_a_client_takes_no_tls_context_for_plain_http() -> None:
    client = open_client("http://127.0.0.1:9")
    assert client.base_url.scheme == "http"
