"""Shields on what goes to an agent's model and on what comes from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stack_core.apis._violations import SafetyViolation
from stack_core.apis.inference import Message
from stack_core.apis.providers import Providers
from stack_core.apis.safety import RunShieldRequest, Safety
from stack_core.errors import Unsupported

_GRAVITY = ("info", "warn", "error")
BLOCKED = "This cannot be said here."
"""What is answered where a shield that blocks has no words of its own."""


class Guards:
    """Runs shields through the Safety API. One that does not answer blocks: its error ends the turn."""

    def __init__(self, safety: Safety | None, providers: Providers) -> None:
        self._safety, self._providers = safety, providers

    async def check(self, field: str, shields: Sequence[str] | None) -> None:
        """Raises:
        Unsupported: there are shields, and nothing that runs them.
        """
        if shields and not await served(self._providers, "safety"):
            raise Unsupported(f"{field}: no provider of safety is configured", "add one under providers.safety")

    async def look(self, shields: Sequence[str], messages: Sequence[Message]) -> SafetyViolation | None:
        """The gravest of what the shields find.

        Raises:
            UnknownId: there is no such shield.
            ProviderError: a shield cannot look.
        """
        if self._safety is None:
            raise Unsupported("no provider of safety is configured", "add one under providers.safety")
        safety, shown = self._safety, list(messages)
        requests = [RunShieldRequest(shield_id=shield, messages=shown) for shield in shields]
        found = await asyncio.gather(*(safety.run_shield(request) for request in requests))
        violations = [one.violation for one in found if one.violation is not None]
        return max(violations, key=lambda one: _GRAVITY.index(one.violation_level), default=None)


async def served(providers: Providers, api: str) -> bool:
    """Whether the stack has a provider of an API."""
    return any(one.api == api for one in (await providers.list_providers()).data)


def blocks(violation: SafetyViolation | None) -> bool:
    """Whether what was looked at must not go on."""
    return violation is not None and violation.violation_level == "error"
