"""The one list of APIs. An API is a module here with its Pydantic models and one Protocol."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata

from stack_core.apis._content import FileContent, Upload
from stack_core.apis._declare import Route, route, routes_of
from stack_core.errors import ConfigError, MissingPackage, NotFound

__all__ = [
    "APIS",
    "FileContent",
    "Route",
    "Upload",
    "all_routes",
    "module_of",
    "protocol",
    "register",
    "route",
    "routes_of",
]

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


_EXTERNAL: dict[str, str] = {}
"""API of a third party → the module with its Protocol."""

ENTRY_POINTS = "stack_core.apis"
"""The entry-point group of packages that bring an API: the name is the API's, the value `module:Protocol`."""


@cache
def protocol(name: str) -> type:
    """The Protocol of an API, imported at first use.

    Raises:
        NotFound: no API has this name; names the nearest.
        MissingPackage: the module of a third party's API is not installed.
    """
    if name not in APIS:
        raise NotFound("API", name, APIS)
    module = _EXTERNAL.get(name)
    try:
        found: type = getattr(import_module(module or f"stack_core.apis.{name}"), APIS[name])
    except ModuleNotFoundError as error:
        if module is None:
            raise
        raise MissingPackage(error.name or module, needed_by=f"the API {name}") from error
    if module is not None:
        found.__api__ = name  # type: ignore[attr-defined]  # what `api_name` reads of an API whose module is not ours
    return found


def register(name: str, module: str, protocol_name: str) -> None:
    """Add an API of a third party.

    Raises:
        ConfigError: the name is one of ours, or no word.
    """
    if name in APIS and _EXTERNAL.get(name) != module:
        raise ConfigError(f"the API {name!r} is there already", "give the new one another name")
    if not name.isidentifier():
        raise ConfigError(f"{name!r} cannot name an API", "use letters, digits and underscores")
    APIS[name], _EXTERNAL[name] = protocol_name, module


def module_of(name: str) -> str | None:
    """The module of a third party's API; None for one of ours."""
    return _EXTERNAL.get(name)


def all_routes() -> list[Route]:
    """Every declared route of every API, in the order of the list above."""
    return [route for name in APIS for route in routes_of(protocol(name))]


def _installed() -> None:
    for point in metadata.entry_points(group=ENTRY_POINTS):
        register(point.name, point.module, point.attr)


_installed()
