"""The stack about itself: its providers with their health, its version, its routes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from stack_core.apis import all_routes
from stack_core.apis._declare import Level
from stack_core.apis.inspect import HealthInfo, Inspect, RouteInfo, RouteList, VersionInfo
from stack_core.apis.providers import Health, ProviderInfo, ProviderList, Providers
from stack_core.errors import NotFound, StackError
from stack_core.version import __version__

HEALTH_SECONDS = 3.0


class Configured(Protocol):
    """A configured provider, as the resolver keeps it."""

    api: str
    provider_id: str
    provider_type: str
    config: dict[str, Any]
    instance: Any
    error: StackError | None
    declared: bool


class About(Providers, Inspect):
    """Answers the Providers and the Inspect API. The configs given here are already masked."""

    def __init__(self, providers: Sequence[Configured]) -> None:
        self._providers = providers

    async def list_providers(self) -> ProviderList:
        """The providers of the run file, each asked for its health at the same time."""
        declared = [self._info(provider) for provider in self._providers if provider.declared]
        return ProviderList(data=list(await asyncio.gather(*declared)))

    async def inspect_provider(self, provider_id: str) -> ProviderInfo:
        """One provider; the first of that id where several APIs have one."""
        for provider in self._providers:
            if provider.provider_id == provider_id:
                return await self._info(provider)
        raise NotFound("provider", provider_id, (provider.provider_id for provider in self._providers))

    async def _info(self, provider: Configured) -> ProviderInfo:
        return ProviderInfo(
            api=provider.api,
            provider_id=provider.provider_id,
            provider_type=provider.provider_type,
            config=provider.config,
            health=await _health(provider),
        )

    async def health(self) -> HealthInfo:
        """OK while the stack answers."""
        return HealthInfo()

    async def version(self) -> VersionInfo:
        """The version of this package."""
        return VersionInfo(version=__version__)

    async def list_routes(self, api_filter: Level | None = None) -> RouteList:
        """Every route, or those of one level, with the types of the providers behind it."""
        types: dict[str, list[str]] = {}
        for provider in self._providers:
            types.setdefault(provider.api, []).append(provider.provider_type)
        return RouteList(
            data=[
                RouteInfo(route=route.url, method=route.verb, provider_types=types.get(route.api, []))
                for route in all_routes()
                if api_filter in (None, route.level)
            ]
        )


async def _health(provider: Configured) -> Health:
    if provider.error is not None:
        hint = f" ({provider.error.hint})" if provider.error.hint else ""
        return Health(status="Unavailable", message=provider.error.message + hint)
    if not hasattr(provider.instance, "health"):
        return Health(status="OK")
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            found: Health = await provider.instance.health()
            return found
    except StackError as error:
        return Health(status="Error", message=error.message + (f" ({error.hint})" if error.hint else ""))
    except TimeoutError:
        return Health(status="Error", message=f"no answer within {HEALTH_SECONDS:.0f} s")
