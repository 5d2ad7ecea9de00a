"""A provider of embeddings without weights: a text's vector counts its words, so texts that share words are near.

Named by `module:` in the run files of these tests. A text with POISON fails, one with SLOW waits for the gate.
"""

from __future__ import annotations

import asyncio
import math
import re
import zlib

from pydantic import BaseModel

from stack_core.apis.inference import (
    Embedding,
    EmbeddingList,
    EmbeddingRequest,
    Inference,
    RerankRequest,
    RerankResponse,
    RerankResult,
)
from stack_core.apis.models import Model
from stack_core.apis.providers import ProviderId
from stack_core.errors import NotFound, ProviderUnavailable
from stack_core.providers._registry import provider

DIMENSION = 64


class WordsConfig(BaseModel):
    """`context_length` is what the model says it reads; with `measure` it keeps the length of its vectors to itself."""

    context_length: int | None = None
    measure: bool = False
    models: list[str] = ["words", "chat", "shortest-first"]


@provider("inline::words")
class Words(Inference):
    """Counts words."""

    Config = WordsConfig

    def __init__(self, config: WordsConfig, provider_id: ProviderId) -> None:
        self.config, self.provider_id = config, str(provider_id)
        self.gate = asyncio.Event()
        self.texts: list[str] = []

    async def models(self) -> list[Model]:
        """One that embeds, one that does not, one that orders."""
        known = {} if self.config.measure else {"embedding_dimension": DIMENSION}
        if self.config.context_length:
            known["context_length"] = self.config.context_length
        kinds = {"words": "embedding", "chat": "llm", "shortest-first": "rerank"}
        return [
            Model.model_validate(
                {
                    "identifier": f"{self.provider_id}/{name}",
                    "provider_id": self.provider_id,
                    "provider_resource_id": name,
                    "model_type": kinds[name],
                    "metadata": known if name == "words" else {},
                }
            )
            for name in self.config.models
        ]

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """Word counts, folded to the dimension, of length one."""
        if request.model not in self.config.models:
            raise NotFound("model", request.model, self.config.models)
        texts = [request.input] if isinstance(request.input, str) else [str(text) for text in request.input]
        if any("SLOW" in text for text in texts):
            await self.gate.wait()
        if any("POISON" in text for text in texts):
            raise ProviderUnavailable("the service is down", provider_id=self.provider_id)
        self.texts += texts
        vectors = [vector(text, request.dimensions or DIMENSION) for text in texts]
        data = [Embedding(index=index, embedding=numbers) for index, numbers in enumerate(vectors)]
        return EmbeddingList(data=data, model=request.model)

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """The shortest first, with scores as logits."""
        if request.model != "shortest-first":
            raise NotFound("model", request.model, ["shortest-first"])
        rows = [
            RerankResult(index=i, relevance_score=5.0 - len(str(text)) / 10) for i, text in enumerate(request.items)
        ]
        return RerankResponse(data=sorted(rows, key=lambda row: -row.relevance_score))


def vector(text: str, dimension: int = DIMENSION) -> list[float]:
    """The counts of a text's words, of length one."""
    counts = [0.0] * dimension
    for word in re.findall(r"\w+", text.lower()):
        counts[zlib.crc32(word.encode()) % dimension] += 1.0
    length = math.sqrt(sum(count * count for count in counts)) or 1.0
    return [count / length for count in counts]
