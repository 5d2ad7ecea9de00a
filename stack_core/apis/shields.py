"""The guards that are registered: a provider of safety, and the model or rule it goes by."""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._resources import PageLimit, Resource, ResourceId
from stack_core.apis._shapes import Listing, Strict


class Shield(Resource):
    """A guard. Shape: Llama Stack 0.3.5; `provider_resource_id` is the model or rule it goes by."""

    type: Literal["shield"] = "shield"
    params: dict[str, Any] | None = Field(None, description="What the provider is told with every check.")


class ShieldList(Listing[Shield]):
    """Registered guards by id."""


class RegisterShieldRequest(Strict):
    """Arguments of `register_shield`."""

    shield_id: ResourceId
    provider_shield_id: str | None = Field(None, description="The model or rule; the shield's id where left out.")
    provider_id: str | None = Field(None, description="May be left out where only one provider serves safety.")
    params: dict[str, Any] | None = None


@runtime_checkable
class ChecksShields(Protocol):
    """What a provider of safety implements when it can tell a wrong registration from a right one."""

    async def check_shield(self, shield: Shield) -> None:
        """Refuse what could never answer.

        Raises:
            InvalidRequest: the params or the model are wrong.
        """
        ...


class Shields(Protocol):
    """The guards that are registered."""

    @route("GET", "/shields", sdk="shields.list")
    async def list_shields(self, after: str | None = None, limit: PageLimit | None = None) -> ShieldList:
        """Registered guards by id."""
        ...

    @route("GET", "/shields/{identifier:path}", sdk="shields.retrieve")
    async def get_shield(self, identifier: str) -> Shield:
        """One guard."""
        ...

    @route("POST", "/shields", sdk="shields.register")
    async def register_shield(self, request: RegisterShieldRequest) -> Shield:
        """Give a provider's guard an id."""
        ...

    @route("DELETE", "/shields/{identifier:path}", sdk="shields.delete")
    async def unregister_shield(self, identifier: str) -> None:
        """Forget a guard."""
        ...
