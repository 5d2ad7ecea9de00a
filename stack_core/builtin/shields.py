"""The registry of guards, and which guard a check means."""

from __future__ import annotations

from typing import Any

from stack_core.apis._call import Call
from stack_core.apis.shields import ChecksShields, RegisterShieldRequest, Shield, ShieldList, Shields
from stack_core.builtin._ground import Ground
from stack_core.builtin._registry import Kind, Registry, named
from stack_core.errors import InvalidRequest, UnknownId


def _make(request: RegisterShieldRequest, provider_id: str) -> Shield:
    return Shield(
        identifier=request.shield_id,
        provider_id=provider_id,
        provider_resource_id=request.provider_shield_id or request.shield_id,
        params=request.params,
    )


_KIND = Kind("shield", Shield, RegisterShieldRequest, _make, "safety", "shields", "shield_id", UnknownId)


class ShieldRegistry(Shields):
    """Registered guards; as a lookup it also knows them by their provider's name for them, as moderations use it."""

    def __init__(self, ground: Ground) -> None:
        self._providers = ground.providers
        self._registry = Registry(ground, _KIND, check=self._check)
        self._default: str | None = ground.section("safety").get("default_shield_id")

    async def __call__(self, call: Call) -> Any:
        """The provider of a check that names a guard under `shield_id` or `model`, or means the run file's default."""
        self._registry.check_served()
        name = named(call, "shield_id", "model") or self._default
        shield = await self._named(str(name)) if name else await self._only()
        call.args = _renamed(call.args, shield.identifier)
        return self._registry.serve(call, shield)

    async def list_shields(self, after: str | None = None, limit: int | None = None) -> ShieldList:
        """Registered guards by id."""
        return ShieldList(**await self._registry.page(after, limit))

    async def get_shield(self, identifier: str) -> Shield:
        """One guard."""
        return await self._registry.get(identifier)

    async def register_shield(self, request: RegisterShieldRequest) -> Shield:
        """Give a provider's guard an id."""
        return await self._registry.register(request)

    async def unregister_shield(self, identifier: str) -> None:
        """Forget a guard."""
        await self._registry.unregister(identifier)

    async def _check(self, shield: Shield) -> None:
        serving = self._providers("safety").get(shield.provider_id)
        if serving is not None and isinstance(serving.instance, ChecksShields):
            await serving.instance.check_shield(shield)

    async def _named(self, name: str) -> Shield:
        try:
            return await self._registry.get(name)
        except UnknownId:
            for shield in await self._registry.all():
                if shield.provider_resource_id == name:
                    return shield
            raise

    async def _only(self) -> Shield:
        shields = await self._registry.all()
        if len(shields) != 1:
            known = ", ".join(shield.identifier for shield in shields[:6]) or "none is registered"
            raise InvalidRequest("a shield is needed: name one, or set safety.default_shield_id", f"shields: {known}")
        return shields[0]


def _renamed(args: dict[str, Any], identifier: str) -> dict[str, Any]:
    """The arguments with the guard's id in place of whatever named it."""
    if "shield_id" in args:
        return {**args, "shield_id": identifier}
    request = args.get("request")
    if request is None:
        return {**args, "model": identifier} if "model" in args else args
    field = "shield_id" if "shield_id" in type(request).model_fields else "model"
    return {**args, "request": request.model_copy(update={field: identifier})}
