"""Inspect: is the stack up, which version, which routes."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel

from stack_core.apis._declare import Level, route


class HealthInfo(BaseModel):
    """The stack answers."""

    status: Literal["OK", "Error", "Not Implemented"] = "OK"


class VersionInfo(BaseModel):
    """The version of this package."""

    version: str


class RouteInfo(BaseModel):
    """A route that is served, and the types of the providers behind it."""

    route: str
    method: str
    provider_types: list[str]


class RouteList(BaseModel):
    """All routes."""

    data: list[RouteInfo]


class Inspect(Protocol):
    """The stack about itself."""

    @route("GET", "/health", sdk="inspect.health alpha.admin.health")
    async def health(self) -> HealthInfo:
        """OK while the stack answers."""
        ...

    @route("GET", "/version", sdk="inspect.version alpha.admin.version")
    async def version(self) -> VersionInfo:
        """The version of this package."""
        ...

    @route("GET", "/inspect/routes", sdk="routes.list alpha.admin.list_routes")
    async def list_routes(self, api_filter: Level | None = None) -> RouteList:
        """Every route, or those of one level, with the types of the providers behind it."""
        ...
