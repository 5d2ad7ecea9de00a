"""A third party's provider, as its author would write it: it answers with the last message, word by word.

Named by `module: tests.stack_core.echo_provider` in the run files of these tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from stack_core.apis.inference import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, Inference
from stack_core.apis.models import Model
from stack_core.apis.providers import ProviderId
from stack_core.errors import NotFound, ProviderUnavailable
from stack_core.providers._registry import provider
from stack_core.storage.kv import KeyValue


class EchoConfig(BaseModel):
    """`broken` makes the provider fail at its start."""

    model_config = ConfigDict(extra="forbid")
    models: list[str] = ["one", "two"]
    broken: bool = False
    api_key: str | None = None


@provider("inline::echo")
class Echo(Inference):
    """Answers with the last message."""

    Config = EchoConfig

    def __init__(self, config: EchoConfig, provider_id: ProviderId, store: KeyValue) -> None:
        self.config, self.provider_id, self.store = config, provider_id, store
        self.closed_streams = 0
        self.entered = False

    async def __aenter__(self) -> Echo:
        if self.config.broken:
            raise ProviderUnavailable("the echo is broken", "mend it", provider_id=self.provider_id)
        self.entered = True
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.entered = False

    async def models(self) -> list[Model]:
        """The configured models."""
        return [
            Model(identifier=f"{self.provider_id}/{name}", provider_id=self.provider_id, provider_resource_id=name)
            for name in self.config.models
        ]

    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """The last message's text."""
        if request.model not in self.config.models:
            raise NotFound("model", request.model, self.config.models)
        text = str(request.messages[-1].content)
        await self.store.set("last", text)
        if request.stream:
            return self._pieces(request.model, text)
        usage = {"prompt_tokens": 3, "completion_tokens": len(text.split()), "total_tokens": 3 + len(text.split())}
        choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
        return ChatCompletion.model_validate(
            {"id": f"chatcmpl-{text}", "created": 1, "model": "upstream-name", "choices": [choice], "usage": usage}
        )

    async def _pieces(self, model: str, text: str) -> AsyncIterator[ChatCompletionChunk]:
        words = text.split(" ")
        frame = {"id": f"chatcmpl-{text}", "created": 1, "model": model}
        try:
            for index, word in enumerate(words):
                piece = word if index == 0 else f" {word}"
                yield ChatCompletionChunk.model_validate(
                    {**frame, "choices": [{"index": 0, "delta": {"content": piece}}]}
                )
            yield ChatCompletionChunk.model_validate(
                {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            )
            usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
            yield ChatCompletionChunk.model_validate({**frame, "choices": [], "usage": usage})
        finally:
            self.closed_streams += 1
