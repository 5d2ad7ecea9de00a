"""An inference provider whose streams say one word and then wait: what an idle connection costs the server is its own.

Named by `module: benchmarks.waiting_provider` in the run file of `benchmarks/idle.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel

from stack_core.apis.inference import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, Inference
from stack_core.apis.models import Model
from stack_core.apis.providers import ProviderId
from stack_core.errors import Unsupported
from stack_core.providers._registry import provider


class WaitingConfig(BaseModel):
    """Nothing to set."""


@provider("inline::waiting")
class Waiting(Inference):
    """Streams one word, and waits until the client goes."""

    Config = WaitingConfig

    def __init__(self, config: WaitingConfig, provider_id: ProviderId) -> None:
        self._id = provider_id

    async def models(self) -> list[Model]:
        """One model."""
        return [Model(identifier=f"{self._id}/m", provider_id=self._id, provider_resource_id="m")]

    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """A stream that does not end.

        Raises:
            Unsupported: no stream is asked for.
        """
        if not request.stream:
            raise Unsupported("this provider only streams", "set stream")
        return self._pieces(request.model)

    async def _pieces(self, model: str) -> AsyncIterator[ChatCompletionChunk]:
        choice = {"index": 0, "delta": {"content": "word"}}
        yield ChatCompletionChunk.model_validate(
            {"id": "chatcmpl-1", "created": 1, "model": model, "choices": [choice]}
        )
        await asyncio.Event().wait()
