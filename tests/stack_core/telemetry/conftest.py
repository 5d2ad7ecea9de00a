"""Calls through the real dispatcher to a provider of our own, traced into memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from stack_core.apis._bind import Bound
from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
    Inference,
)
from stack_core.routers.dispatch import Call, Dispatcher
from stack_core.telemetry.middleware import Telemetry
from stack_core.telemetry.sinks import MemorySink

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "prompt_tokens_details": {"cached_tokens": 2}}


def answer(text: str = "hello", **more: Any) -> ChatCompletion:
    return ChatCompletion.model_validate(
        {
            "id": "c1",
            "created": 1,
            "model": "real-model",
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": USAGE,
            **more,
        }
    )


def chunk(text: str | None = None, **more: Any) -> ChatCompletionChunk:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": more.pop("finish_reason", None)}]
    body = {"id": "c1", "created": 1, "model": "real-model", "choices": choices, **more}
    return ChatCompletionChunk.model_validate(body)


class Provider(Inference):
    """Answers with whatever a test puts in `reply`: a result, an error, or a function that makes a stream."""

    reply: Any = None

    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        if isinstance(self.reply, BaseException):
            raise self.reply
        made = self.reply(request) if callable(self.reply) else self.reply
        return await made if hasattr(made, "__await__") else made

    async def completion(self, request: CompletionRequest) -> Completion | AsyncIterator[Completion]:
        return Completion.model_validate(
            {"id": "t1", "created": 1, "model": "m", "choices": [{"text": "more", "finish_reason": "length"}]}
        )

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        return EmbeddingList.model_validate({"data": [], "model": "e", "usage": {"prompt_tokens": 4}})


class Bench:
    """A provider behind the door, with telemetry around it."""

    def __init__(self, telemetry: Telemetry, memory: MemorySink) -> None:
        self.telemetry, self.memory, self.provider = telemetry, memory, Provider()
        self.calls: list[Call] = []
        self.door = Dispatcher(lambda _: self._lookup, lambda _: None, [telemetry.middleware])
        self.inference: Any = Bound(Inference, self.door)

    async def _lookup(self, call: Call) -> Any:
        self.calls.append(call)
        request = call.args["request"]
        call.provider_id, _, call.upstream_model = request.model.partition("/")
        call.model = request.model
        call.args["request"] = request.model_copy(update={"model": call.upstream_model})
        return self.provider

    async def chat(self, **more: Any) -> Any:
        return await self.inference.chat_completion(
            **{"model": "azure/gpt", "messages": [{"role": "user", "content": "secret question"}], **more}
        )

    async def last(self) -> Any:
        """The span that began last."""
        return (await self.memory.find(trace_ids=[self.calls[-1].trace_id or ""]))[-1]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    memory = MemorySink()
    async with Telemetry([memory]) as telemetry:
        yield Bench(telemetry, memory)


@pytest.fixture
def streamed() -> Callable[..., Callable[[Any], AsyncIterator[Any]]]:
    def of(*items: Any) -> Callable[[Any], AsyncIterator[Any]]:
        async def run(_: Any) -> AsyncIterator[Any]:
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                yield item

        return run

    return of
