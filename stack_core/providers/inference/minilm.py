"""Embeddings in this process: all-MiniLM-L6-v2, 384 dimensions, by numpy, or by onnxruntime where that is installed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis.inference import (
    Embedding,
    EmbeddingList,
    EmbeddingRequest,
    EmbeddingUsage,
    Inference,
    RerankRequest,
    RerankResponse,
    RerankResult,
    TextPart,
)
from stack_core.apis.models import Model
from stack_core.apis.providers import Health, ProviderId
from stack_core.errors import ConfigError, InvalidRequest, NotFound, Unsupported
from stack_core.providers._registry import provider
from stack_core.providers.inference._minilm.tokenizer import CLS, MOST_TOKENS, SEP, WordPiece
from stack_core.providers.inference._minilm.weights import VOCABULARY, WEIGHTS, damaged, fetch, locate

if TYPE_CHECKING:
    from stack_core.providers.inference._minilm.forward import Array

__all__ = ["MiniLM", "fetch"]

MODEL, DIMENSIONS = "all-MiniLM-L6-v2", 384
NAMES = (MODEL, f"sentence-transformers/{MODEL}")
TOKENS_A_BATCH = 2048


class Runtime(Protocol):
    """What runs the network."""

    def embed(self, batch: Sequence[Sequence[int]]) -> Array:
        """Vectors of length one of token ids, (texts, 384)."""
        ...


@provider("inline::minilm")
class MiniLM(Inference):
    """all-MiniLM-L6-v2 in this process, for embeddings and for ordering texts by cosine similarity.

    Texts are cut after 256 tokens, the model's limit, and `usage` counts what is left. The weights are fetched once by
    `%stack pull minilm`, never at import or when a stack opens. On two cores or fewer it takes one thread, on more as
    many as numpy is set to (`OMP_NUM_THREADS`).
    """

    class Config(BaseModel):
        """`path` names a folder with model.safetensors and vocab.txt in place of the user's cache."""

        model_config = ConfigDict(extra="forbid")
        path: Path | None = Field(
            None, description="Folder with model.safetensors and vocab.txt; else the user's cache."
        )

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        self._folder = config.path.expanduser() if config.path else None
        self._provider_id = str(provider_id)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stack-minilm")
        self._loaded: tuple[WordPiece, Runtime] | None = None

    async def __aenter__(self) -> MiniLM:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def models(self) -> list[Model]:
        """The one model."""
        return [
            Model(
                identifier=f"{self._provider_id}/{MODEL}",
                provider_id=self._provider_id,
                provider_resource_id=MODEL,
                model_type="embedding",
                metadata={"embedding_dimension": DIMENSIONS, "context_length": MOST_TOKENS},
            )
        ]

    async def health(self) -> Health:
        """Whether the weights are there."""
        try:
            locate(self._folder)
        except ConfigError as error:
            return Health(status="Error", message=f"{error.message}; {error.hint}")
        return Health(status="OK")

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """One vector of length one an input. Token ids are those of this model's own vocabulary.

        Raises:
            ConfigError: the weights are not there.
            InvalidRequest: no input, ids outside the vocabulary, `dimensions` other than 384, or an unknown field.
        """
        _known(request.model)
        _check_fields(request.model_extra)
        if request.dimensions not in (None, DIMENSIONS):
            raise InvalidRequest(
                f"dimensions: {MODEL} gives {DIMENSIONS} and cannot shorten them to {request.dimensions}"
            )
        vectors, tokens = await self._embed(_inputs(request.input))
        encode = _base64 if request.encoding_format == "base64" else _floats
        return EmbeddingList(
            data=[Embedding(index=index, embedding=encode(vector)) for index, vector in enumerate(vectors)],
            model=request.model,
            usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        )

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Items by the cosine of the angle between their vector and the query's: from -1 to 1, 1 for the same text.

        Raises:
            ConfigError: the weights are not there.
            InvalidRequest: an unknown field.
            Unsupported: an item or the query is an image.
        """
        _known(request.model)
        _check_fields(request.model_extra)
        vectors, _ = await self._embed([_text(item) for item in (request.query, *request.items)])
        scores = vectors[1:] @ vectors[0]
        order = (-scores).argsort(kind="stable")[: request.max_num_results]
        return RerankResponse(data=[RerankResult(index=int(i), relevance_score=float(scores[i])) for i in order])

    async def _embed(self, inputs: Sequence[str | Sequence[int]]) -> tuple[Array, int]:
        """Vectors in the order of the inputs, and how many tokens they had. Similar lengths go together; other calls
        get their turn between two batches."""
        import numpy as np

        run = asyncio.get_running_loop().run_in_executor
        words, network = await run(self._thread, self._model)
        ids = await run(self._thread, lambda: [_ids(words, given) for given in inputs])
        out = np.empty((len(ids), DIMENSIONS), np.float32)
        for batch in _batches([len(row) for row in ids]):
            out[batch] = await run(self._thread, network.embed, [ids[index] for index in batch])
        return out, sum(map(len, ids))

    def _model(self) -> tuple[WordPiece, Runtime]:
        if self._loaded is None:
            self._loaded = _load(locate(self._folder))
        return self._loaded


def _load(folder: Path) -> tuple[WordPiece, Runtime]:
    weights = folder / WEIGHTS.name
    if fault := damaged(folder):  # garbled weights would give numbers all the same
        raise ConfigError(f"the weights in {folder} are damaged: {fault}", f"remove {folder}, then %stack pull minilm")
    try:
        return WordPiece(folder / VOCABULARY.name), _runtime(weights)
    except (ValueError, KeyError, OSError) as error:
        raise ConfigError(f"{weights} cannot be read: {error}", f"remove {folder}, then %stack pull minilm") from error


def _runtime(weights: Path) -> Runtime:
    if find_spec("onnxruntime") is not None:
        from stack_core.providers.inference._minilm.onnx import OnnxMiniLM

        return OnnxMiniLM(weights)
    from stack_core.providers.inference._minilm.forward import NumpyMiniLM

    return NumpyMiniLM(weights)


def _known(model: str) -> None:
    if model not in NAMES:
        raise NotFound("model", model, NAMES)


def _inputs(given: str | list[str] | list[int] | list[list[int]]) -> Sequence[str | Sequence[int]]:
    """One entry a text; a flat list of numbers is one text."""
    if isinstance(given, str):
        return [given]
    if not given:
        raise InvalidRequest("input: give at least one text")
    if isinstance(given[0], int):
        return [[int(number) for number in given]]
    return given


def _ids(words: WordPiece, given: str | Sequence[int]) -> list[int]:
    if isinstance(given, str):
        return words.encode(given)
    if any(not 0 <= number < words.size for number in given):
        raise InvalidRequest(
            f"input: token ids must lie between 0 and {words.size - 1}, the vocabulary of {MODEL}",
            "send texts: ids of another model's tokenizer mean nothing here",
        )
    inner = [number for number in given if number not in (CLS, SEP)]
    return [CLS, *inner[: MOST_TOKENS - 2], SEP]


def _check_fields(unknown: Mapping[str, object] | None) -> None:
    """No service is behind this model that could know them."""
    if given := sorted(name for name, value in (unknown or {}).items() if value is not None):
        raise InvalidRequest(f"{MODEL} takes no {', '.join(given)}", "leave it out")


def _text(item: object) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, TextPart):
        return item.text
    raise Unsupported(f"{MODEL} compares texts; it cannot read images")


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Indices by rising length, in groups of at most `TOKENS_A_BATCH` tokens once filled up."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not groups or (len(groups[-1]) + 1) * lengths[index] > TOKENS_A_BATCH:
            groups.append([])
        groups[-1].append(index)
    return groups


def _base64(vector: Array) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _floats(vector: Array) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats
