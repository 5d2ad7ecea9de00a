"""An inference provider whose embeddings are given beforehand: what a search costs beside them is the stack's own.

Named by `module: benchmarks.given_provider` in the run file of `benchmarks/vectors.py`.
"""

from __future__ import annotations

from pydantic import BaseModel

from stack_core.apis.inference import Embedding, EmbeddingList, EmbeddingRequest, Inference
from stack_core.apis.models import Model
from stack_core.apis.providers import ProviderId
from stack_core.providers._registry import provider

GIVEN: dict[str, list[float]] = {}
"""Text → its vector."""
DIMENSION = 384


class GivenConfig(BaseModel):
    """Nothing to set."""


@provider("inline::given")
class Given(Inference):
    """Looks vectors up."""

    Config = GivenConfig

    def __init__(self, config: GivenConfig, provider_id: ProviderId) -> None:
        self._id = provider_id

    async def models(self) -> list[Model]:
        """One model."""
        about = {"embedding_dimension": DIMENSION}
        row = {"identifier": f"{self._id}/m", "provider_id": self._id, "provider_resource_id": "m", "metadata": about}
        return [Model.model_validate({**row, "model_type": "embedding"})]

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """The vectors of `GIVEN`."""
        texts = [request.input] if isinstance(request.input, str) else request.input
        data = [Embedding(index=index, embedding=GIVEN[str(text)]) for index, text in enumerate(texts)]
        return EmbeddingList(data=data, model=request.model)
