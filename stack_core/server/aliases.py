"""Spellings that still answer: URLs of earlier versions, each one a row. Nothing here declares a route."""

from __future__ import annotations

from stack_core.apis import all_routes
from stack_core.wire.table import Alias, RouteTable

ALIASES = (
    Alias("/v1/openai/v1", "/v1", apis=("inference", "models")),
    Alias("/v1/inference/rerank", "/v1alpha/inference/rerank"),
    Alias("/v1alpha/admin", "/v1", apis=("inspect", "providers")),
)


def route_table() -> RouteTable:
    """Every declared route and every further spelling."""
    return RouteTable(all_routes(), ALIASES)
