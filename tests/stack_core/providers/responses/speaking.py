"""A provider of inference that says what a test wrote down: each call of the model is the next of `Speaking.turns`.

Named by `module:` in the run files of these tests. A turn is a list of steps: texts, chunks' deltas as mappings, an
error that is raised there, an event that is waited for, or a function that is called. The finish reason is `stop`, or
`tool_calls` after a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
    Inference,
)
from stack_core.apis.models import Model
from stack_core.errors import NotFound
from stack_core.providers._registry import provider

Turn = list[Any]
NAMES = ("m", "embed")


def call(name: str, *arguments: str, id: str = "call_1", index: int = 0) -> list[dict[str, Any]]:
    """The deltas of a call, its arguments in pieces."""
    first = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": piece}} for piece in arguments]
    return [{"tool_calls": [delta]} for delta in (first, *rest)]


class SpeakingConfig(BaseModel):
    """Nothing to say."""


@provider("inline::speaking")
class Speaking(Inference):
    """Says the turns in order; the last one again and again."""

    Config = SpeakingConfig
    turns: ClassVar[list[Turn]] = []
    asked: ClassVar[list[ChatCompletionRequest]] = []
    closed: ClassVar[int] = 0

    def __init__(self, config: SpeakingConfig | None = None) -> None:
        pass

    @classmethod
    def say(cls, *turns: Turn) -> None:
        """What comes next."""
        cls.turns[:], cls.asked[:], cls.closed = turns, [], 0

    async def models(self) -> list[Model]:
        """One for chat, one for embeddings."""
        return [Model(identifier=f"up/{name}", provider_id="up", provider_resource_id=name) for name in NAMES]

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """A text's vector: how often it has each of eight words."""
        words = ("cat", "dog", "moon", "sun", "tea", "bread", "rain", "snow")
        texts = request.input if isinstance(request.input, list) else [request.input]
        rows = [
            {"index": index, "embedding": [0.01 + str(text).lower().count(word) for word in words]}
            for index, text in enumerate(texts)
        ]
        return EmbeddingList.model_validate({"data": rows, "model": request.model})

    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """The next turn."""
        if request.model != "m":
            raise NotFound("model", request.model, NAMES)
        self.asked.append(request.model_copy(deep=True))
        turn = self.turns[min(len(self.asked), len(self.turns)) - 1]
        if turn and isinstance(turn[0], Exception):
            raise turn[0]
        if request.stream:
            return self._pieces(turn)
        text = "".join(step for step in turn if isinstance(step, str))
        choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
        given = {"id": "c", "created": 1, "model": "m", "choices": [choice], "usage": _usage(request, turn)}
        return ChatCompletion.model_validate(given)

    async def _pieces(self, turn: Turn) -> AsyncIterator[ChatCompletionChunk]:
        try:
            finish = "stop"
            for step in turn:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    step()
                    continue
                if isinstance(step, asyncio.Event):
                    await step.wait()
                    continue
                delta = {"content": step} if isinstance(step, str) else step
                if "finish" in delta:
                    finish = delta["finish"]
                    continue
                finish = "tool_calls" if "tool_calls" in delta else finish
                logprobs = delta.get("logprobs")
                yield _chunk({"index": 0, "delta": delta} | ({"logprobs": logprobs} if logprobs else {}))
            yield _chunk({"index": 0, "delta": {}, "finish_reason": finish})
            usage = _usage(self.asked[-1], turn)
            yield ChatCompletionChunk.model_validate(
                {"id": "c", "created": 1, "model": "m", "choices": [], "usage": usage}
            )
        finally:
            type(self).closed += 1


def _chunk(choice: dict[str, Any]) -> ChatCompletionChunk:
    return ChatCompletionChunk.model_validate({"id": "c", "created": 1, "model": "m", "choices": [choice]})


def _usage(request: ChatCompletionRequest, turn: Turn) -> dict[str, int]:
    inward, outward = len(request.messages), len(turn)
    return {"prompt_tokens": inward, "completion_tokens": outward, "total_tokens": inward + outward}


def run_file(folder: Path, **more: Any) -> dict[str, Any]:
    """A stack that has this provider, files and a vector index; its stores are in `folder`."""
    table = {"table_name": "files", "backend": "sql"}
    providers = {
        "inference": [{"provider_id": "up", "provider_type": "inline::speaking", "module": __name__, "config": {}}],
        "files": [
            {
                "provider_id": "files",
                "provider_type": "inline::localfs",
                "config": {"storage_dir": str(folder / "files"), "metadata_store": table},
            }
        ],
        "vector_io": [{"provider_id": "faiss", "provider_type": "inline::faiss", "config": {}}],
        **more.pop("providers", {}),
    }
    storage = {
        "backends": {
            "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
            "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
        },
        "stores": {"metadata": {"namespace": "registry", "backend": "kv"}},
    }
    default = {
        "default_provider_id": "faiss",
        "default_embedding_model": {"provider_id": "up", "model_id": "embed"},
    }
    models = [
        {
            "model_id": "up/embed",
            "provider_id": "up",
            "provider_model_id": "embed",
            "model_type": "embedding",
            "metadata": {"embedding_dimension": 8},
        }
    ]
    return {
        "image_name": "speaking",
        "providers": providers,
        "storage": storage,
        "vector_stores": default,
        "registered_resources": {"models": models},
        **more,
    }
