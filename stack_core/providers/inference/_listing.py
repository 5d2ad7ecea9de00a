"""How services say which models they have. Almost no list says what a model is for, so ids and tables help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stack_core.apis.models import ModelType
from stack_core.errors import NotFound, ProviderError
from stack_core.providers.inference import _pieces as pieces

if TYPE_CHECKING:
    from stack_core.providers.inference._upstream import Target, Upstream

_CONTEXT_NAMES = ("context_length", "context_window", "max_model_len", "max_context_length", "max_total_tokens")
_TYPES: dict[str, ModelType] = {
    "embedding": "embedding",
    "embeddings": "embedding",
    "llm/v1/embeddings": "embedding",
    "rerank": "rerank",
    "reranker": "rerank",
}
_EMBEDDER_NAMES = ("embed", "bge-", "gte-", "e5-", "minilm", "m2-bert", "arctic-l", "/slate-")


@dataclass(frozen=True)
class Found:
    """A model that a service has."""

    id: str
    type: ModelType = "llm"
    metadata: dict[str, Any] = field(default_factory=dict)
    created: int = 0


Listing = Callable[["Upstream", "Target"], Awaitable[list[Found]]]


async def listed(upstream: Upstream, target: Target) -> list[Found]:
    """`GET /models`, as OpenAI has it."""
    return read_list(await upstream.get("/models", target), upstream.row.embeddings)


def fixed(*ids: str) -> Listing:
    """No list exists: these, and what the config allows."""

    async def listing(upstream: Upstream, target: Target) -> list[Found]:
        own = getattr(target.config, "huggingface_repo", None)
        names = dict.fromkeys([*ids, *([own] if own else []), *(target.config.allowed_models or [])])
        return [_found({"id": name}, upstream.row.embeddings) for name in names]

    return listing


async def if_there(upstream: Upstream, target: Target) -> list[Found]:
    """`GET /models` where the host has it, else what the config allows."""
    try:
        return await listed(upstream, target)
    except (ProviderError, NotFound) as error:
        if isinstance(error, ProviderError) and error.upstream_status not in (404, 405):
            raise
        return await fixed()(upstream, target)


async def hub(upstream: Upstream, target: Target) -> list[Found]:
    """The one configured repository, else what the router lists."""
    if getattr(target.config, "huggingface_repo", None):
        return await fixed()(upstream, target)
    return await listed(upstream, target)


async def tgi(upstream: Upstream, target: Target) -> list[Found]:
    """`GET /info` at the root names the one model; newer servers have `/models`, too."""
    try:
        info = await upstream.get(f"{target.root}/info", target)
    except (ProviderError, NotFound):
        return await listed(upstream, target)
    return [_found({**info, "id": info["model_id"]}, {})]


async def databricks(upstream: Upstream, target: Target) -> list[Found]:
    """The workspace's serving endpoints; `task` says what each is for."""
    answer = await upstream.get(f"{target.root}/api/2.0/serving-endpoints", target)
    endpoints = [{**row, "id": row["name"], "type": row.get("task")} for row in answer.get("endpoints", [])]
    return [_found(row, upstream.row.embeddings) for row in endpoints if row["id"]]


async def anthropic(upstream: Upstream, target: Target) -> list[Found]:
    """The native list, in pages; it wants the key under another name than the compatible layer."""
    headers = {"x-api-key": str(target.key), "anthropic-version": "2023-06-01"}
    found: list[Found] = []
    after = ""
    while True:
        page = await upstream.get(f"/models?limit=1000{after}", target, headers=headers)
        found += read_list(page, {})
        if not page.get("has_more") or not page.get("last_id"):
            return found
        after = f"&after_id={page['last_id']}"


async def watsonx(upstream: Upstream, target: Target) -> list[Found]:
    """The public specifications, which say functions and sizes; else the project's list."""
    try:
        answer = await upstream.get("/foundation_model_specs?limit=200", target)
    except (ProviderError, NotFound):
        project = getattr(target.config, "project_id", None)
        answer = await upstream.get(f"/models?project_id={project}" if project else "/models", target)
        return read_list(answer, {})
    return [_found(_from_spec(row), {}) for row in answer.get("resources", [])]


async def nvidia(upstream: Upstream, target: Target) -> list[Found]:
    """`GET /models` lacks the rerankers, which live on a host of their own."""
    known = {found.id: found for found in await listed(upstream, target)}
    extra = getattr(target.config, "rerank_model_to_url", None) or {}
    return [*known.values(), *(Found(name, "rerank") for name in extra if name not in known)]


def read_list(answer: Any, sizes: Any) -> list[Found]:
    """Models out of `{data: […]}`, `{models: […]}` or a bare array (Together)."""
    rows = answer if isinstance(answer, list) else answer.get("data") or answer.get("models") or []
    return [_found(row, sizes) for row in rows if row.get("id") or row.get("name")]


def _from_spec(row: dict[str, Any]) -> dict[str, Any]:
    functions = {str(function.get("id")) for function in row.get("functions") or []}
    limits = row.get("model_limits") or {}
    kind = "embedding" if "embedding" in functions else "rerank" if "rerank" in functions else None
    sizes = {"context_length": limits.get("max_sequence_length"), "n_embd": limits.get("embedding_dimension")}
    return {"id": row["model_id"], "type": kind, "meta": sizes, "context_length": sizes["context_length"]}


def _found(row: dict[str, Any], sizes: Any) -> Found:
    identity = str(row.get("id") or row.get("name"))
    size = sizes.get(identity) or sizes.get(identity.removesuffix(":latest"))
    meta = row.get("meta") or {}
    metadata: dict[str, Any] = {}
    context = next((row[name] for name in _CONTEXT_NAMES if row.get(name)), None) or meta.get("n_ctx_train")
    if context:
        metadata["context_length"] = context
    kind = "embedding" if size else _type(row, identity)
    if kind == "embedding":
        if size:
            metadata = {"embedding_dimension": size[0], "context_length": size[1]}
        elif dimension := row.get("embedding_length") or meta.get("n_embd"):
            metadata["embedding_dimension"] = dimension
    created = row.get("created")
    return Found(identity, kind, metadata, pieces.seconds(created) if created else 0)


def _type(row: dict[str, Any], identity: str) -> ModelType:
    """What a model is for: what the list says, else what its name says."""
    custom = (row.get("custom_metadata") or row.get("metadata") or {}).get("model_type") or row.get("model_type")
    said = _TYPES.get(str(row.get("type"))) or _TYPES.get(str(row.get("task"))) or _TYPES.get(str(custom))
    if said:
        return said
    name = identity.lower()
    if "rerank" in name:
        return "rerank"
    return "embedding" if any(part in name for part in _EMBEDDER_NAMES) else "llm"
