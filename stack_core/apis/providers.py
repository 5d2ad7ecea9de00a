"""Providers: what serves each API here, and how it is."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field

from stack_core.apis._declare import route

Status = Literal["OK", "Error", "Not Implemented", "Unavailable"]


class Health(BaseModel):
    """How a provider is. `Unavailable`: it never started, `message` says why and what would help."""

    status: Status
    message: str | None = None


class ProviderInfo(BaseModel):
    """A configured provider. Secrets in `config` are masked."""

    api: str
    provider_id: str
    provider_type: str
    config: dict[str, Any] = Field(default_factory=dict)
    health: Health


class ProviderList(BaseModel):
    """All configured providers."""

    data: list[ProviderInfo]


class ProviderId(str):
    """A provider that asks for this in its constructor is told the id that the run file gave it."""


class HealthCheck(Protocol):
    """What a provider implements when it can say more of its health than that it was built."""

    async def health(self) -> Health:
        """Look now, within a few seconds."""
        ...


class Providers(Protocol):
    """The providers of the stack."""

    @route("GET", "/providers", sdk="providers.list alpha.admin.list_providers")
    async def list_providers(self) -> ProviderList:
        """All providers with their health."""
        ...

    @route("GET", "/providers/{provider_id}", sdk="providers.retrieve alpha.admin.inspect_provider")
    async def inspect_provider(self, provider_id: str) -> ProviderInfo:
        """One provider with its health."""
        ...
