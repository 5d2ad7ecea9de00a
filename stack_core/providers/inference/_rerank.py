"""The three ways in which services rerank. Results come out by falling score."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from stack_core.apis.inference import ImagePart, RerankRequest, RerankResult, TextPart
from stack_core.errors import InvalidRequest

if TYPE_CHECKING:
    from stack_core.providers.inference._upstream import Target, Upstream

Rerank = Callable[["Upstream", "Target", RerankRequest], Awaitable[list[RerankResult]]]
NVIDIA_RETRIEVAL = "https://ai.api.nvidia.com/v1/retrieval/nvidia"
NVIDIA_RERANKERS = {
    "nv-rerank-qa-mistral-4b:1": f"{NVIDIA_RETRIEVAL}/reranking",
    "nvidia/nv-rerankqa-mistral-4b-v3": f"{NVIDIA_RETRIEVAL}/nv-rerankqa-mistral-4b-v3/reranking",
    "nvidia/llama-3.2-nv-rerankqa-1b-v2": f"{NVIDIA_RETRIEVAL}/llama-3_2-nv-rerankqa-1b-v2/reranking",
}


def documents(path: str, *, at_root: bool = False) -> Rerank:
    """`{query, documents, top_n}` → `{results: [{index, relevance_score}]}` (vLLM, llama.cpp, Together)."""

    async def rerank(upstream: Upstream, target: Target, request: RerankRequest) -> list[RerankResult]:
        body: dict[str, Any] = {"model": request.model, "query": text(request.query)}
        body["documents"] = [text(item) for item in request.items]
        if request.max_num_results:
            body["top_n"] = request.max_num_results
        url = f"{target.root}{path}" if at_root else path
        answer = await upstream.post(url, body, target, request.model)
        return _sorted(answer["results"], "relevance_score")

    return rerank


async def nvidia(upstream: Upstream, target: Target, request: RerankRequest) -> list[RerankResult]:
    """A URL for each model, and logits for scores."""
    urls: Mapping[str, str] = getattr(target.config, "rerank_model_to_url", None) or {}
    url = urls.get(request.model) or NVIDIA_RERANKERS.get(request.model)
    if url is None:
        known = ", ".join([*urls, *NVIDIA_RERANKERS])
        raise InvalidRequest(f"{request.model!r} is no reranker of {upstream.id}", f"it has {known}")
    passages = [{"text": text(item)} for item in request.items]
    body = {"model": request.model, "query": {"text": text(request.query)}, "passages": passages}
    answer = await upstream.post(url, body, target, request.model)
    return _sorted(answer["rankings"], "logit")


async def watsonx(upstream: Upstream, target: Target, request: RerankRequest) -> list[RerankResult]:
    """The native route of watsonx."""
    body = {
        "model_id": request.model,
        "project_id": getattr(target.config, "project_id", None),
        "query": text(request.query),
        "inputs": [{"text": text(item)} for item in request.items],
    }
    answer = await upstream.post("/text/rerank", body, target, request.model)
    return _sorted(answer["results"], "score")


def text(item: str | TextPart | ImagePart) -> str:
    """An item's text.

    Raises:
        InvalidRequest: the item is an image, which no service behind the adapter reranks.
    """
    if isinstance(item, ImagePart):
        raise InvalidRequest("rerank: images cannot be reranked here", "give texts")
    return item if isinstance(item, str) else item.text


def _sorted(rows: list[dict[str, Any]], score: str) -> list[RerankResult]:
    results = [RerankResult(index=row["index"], relevance_score=row[score]) for row in rows]
    return sorted(results, key=lambda result: -result.relevance_score)
