"""What the stack serves itself, without a provider: the one list, each part made at its first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from stack_core.builtin._ground import Ground

PARTS: Mapping[str, str] = {
    "conversations": "conversations:ConversationStore",
    "shields": "shields:ShieldRegistry",
    "datasets": "datasets:DatasetRegistry",
    "benchmarks": "benchmarks:BenchmarkRegistry",
    "scoring_functions": "scoring_functions:ScoringFnRegistry",
    "tool_groups": "tool_groups:ToolGroupRegistry",
    "tool_runtime": "tool_runtime:RagDesk",
    "connectors": "connectors:ConnectorRegistry",
    "prompts": "prompts:PromptShelf",
    "telemetry": "telemetry:SpanDesk",
    "vector_stores": "vector_stores.part:Vectors",
    "vector_io": "vector_stores.part:Vectors",
}
"""API → `module:Class` below this package. The class is made with a `Ground`."""

KEYS: Mapping[str, str] = {
    "dataset_id": "datasets",
    "shield_id": "shields",
    "benchmark_id": "benchmarks",
    "scoring_fn_id": "scoring_functions",
    "tool_name": "tool_groups",
    "toolgroup_id": "tool_groups",
    "tool_group_id": "tool_groups",
}
"""Key of a route (`dataset_id`, …) → the API whose part finds its provider. Such a part is a `Lookup`."""

RESOURCES = frozenset(
    {
        "models", "shields", "vector_dbs", "vector_stores", "datasets", "scoring_fns", "benchmarks", "tool_groups",
        "connectors",
    }
)  # fmt: skip
"""Kinds of `registered_resources` in a run file that somebody reads."""


def make(api: str, ground: Ground) -> Any:
    """The part that serves an API."""
    module, _, name = PARTS[api].partition(":")
    part: Callable[[Ground], Any] = getattr(import_module(f"{__name__}.{module}"), name)
    return part(ground)
