"""Calls of a guard's service over HTTP, with its failures as our errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from stack_core.errors import ConfigError, ProviderError
from stack_core.http import HTTPError, InvalidURL, Network, open_client
from stack_core.providers._refusals import About, Refusals


class Service:
    """One service.

    Args:
        address: what all paths begin with; a trailing slash does not count.

    Raises:
        ConfigError: it is no http address.
    """

    def __init__(self, address: str, provider_id: str, network: Network | None) -> None:
        if not address.startswith(("http://", "https://")):
            raise ConfigError(f"{address!r} is not an address", "write it like http://host:7331")
        self._base, self._id = address.rstrip("/"), provider_id
        self._client = open_client(network=network)
        self._refusals = Refusals(provider_id)

    async def post(self, path: str, body: Any, headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> Any:
        """The answer to a body, read as JSON.

        Raises:
            StackError: the call was refused or failed, or its answer is no JSON object.
        """
        return await self._call("POST", path, to_json(body), {"content-type": "application/json", **headers}, secrets)

    async def get(self, path: str) -> Any:
        """What stands at a path (see `post`)."""
        return await self._call("GET", path, None, {}, ())

    def unreadable(self, what: str) -> ProviderError:
        """The error for an answer that is not what the protocol promises."""
        return ProviderError(f"{self._id} gave an answer that cannot be read: {what}", provider_id=self._id)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(
        self, verb: str, path: str, content: bytes | None, headers: Mapping[str, str], secrets: tuple[str, ...]
    ) -> dict[str, Any]:
        try:
            response = await self._client.request(verb, self._base + path, content=content, headers=dict(headers))
        except (HTTPError, InvalidURL) as error:
            raise self._refusals.from_network(error, self._base) from error
        if response.status_code >= 300:
            about = About(secrets=secrets)
            raise self._refusals.from_response(response.status_code, response.content, response.headers, about)
        try:
            found = from_json(response.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.unreadable("it is no JSON object")
        return found
