"""The one list of APIs. An API is a module here with its Pydantic models and one Protocol."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from stack_core.apis._declare import Route, routes_of
from stack_core.errors import NotFound

__all__ = ["APIS", "Route", "all_routes", "protocol", "routes_of"]

APIS: dict[str, str] = {
    "inference": "Inference",
    "batches": "Batches",
    "models": "Models",
    "safety": "Safety",
    "shields": "Shields",
    "responses": "Responses",
    "agents": "Agents",
    "conversations": "Conversations",
    "prompts": "Prompts",
    "vector_stores": "VectorStores",
    "vector_io": "VectorIO",
    "files": "Files",
    "file_processors": "FileProcessors",
    "connectors": "Connectors",
    "tool_runtime": "ToolRuntime",
    "tool_groups": "ToolGroups",
    "datasetio": "DatasetIO",
    "datasets": "Datasets",
    "benchmarks": "Benchmarks",
    "eval": "Eval",
    "scoring_functions": "ScoringFunctions",
    "scoring": "Scoring",
    "post_training": "PostTraining",
    "synthetic_data_generation": "SyntheticDataGeneration",
    "telemetry": "Telemetry",
    "inspect": "Inspect",
    "providers": "Providers",
}
"""API name (its module) → the name of its Protocol."""


@cache
def protocol(name: str) -> type:
    """The Protocol of an API, imported at first use.

    Raises:
        NotFound: no API has this name; names the nearest.
    """
    if name not in APIS:
        raise NotFound("API", name, APIS)
    found: type = getattr(import_module(f"stack_core.apis.{name}"), APIS[name])
    return found


def all_routes() -> list[Route]:
    """Every declared route of every API, in the order of the list above."""
    return [route for name in APIS for route in routes_of(protocol(name))]
