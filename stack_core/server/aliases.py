"""Spellings that still answer: URLs of earlier versions, each one a row. Nothing here declares a route."""

from __future__ import annotations

from stack_core.apis import all_routes
from stack_core.wire.table import Alias, RouteTable

_OPENAI = ("inference", "models", "safety", "responses", "conversations", "vector_stores", "files", "batches")
ALIASES = (
    Alias("/v1/openai/v1", "/v1", apis=_OPENAI),
    Alias("/v1/inference/rerank", "/v1alpha/inference/rerank"),
    Alias("/v1alpha/admin", "/v1", apis=("inspect", "providers")),
    Alias("/v1/agents", "/v1alpha/agents"),
    Alias("/v1/datasets", "/v1beta/datasets"),
    Alias("/v1/datasetio", "/v1beta/datasetio"),
    Alias("/v1/eval", "/v1alpha/eval"),
    Alias("/v1/post-training", "/v1alpha/post-training"),
    Alias("/v1alpha/telemetry", "/v1/telemetry"),
    Alias("/v1/prompts", "/v1/prompts", verb="POST", of="PUT"),
)


def route_table() -> RouteTable:
    """Every declared route and every further spelling."""
    return RouteTable(all_routes(), ALIASES)
