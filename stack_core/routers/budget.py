"""The budget of a stack: calls are refused once it is spent. A call has a cost where its model has a price."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from stack_core.apis._call import Call, Handler, close
from stack_core.errors import BudgetReached

PER_MILLION = 1e-6


class Limits(Protocol):
    """What may be spent: US dollars, tokens."""

    @property
    def usd(self) -> float | None: ...

    @property
    def tokens(self) -> int | None: ...


def price(usage: Any, rates: Any) -> float | None:
    """US dollars of one call, or None; `rates` is `{input, output}` in dollars per million tokens."""
    if usage is None or not isinstance(rates, dict):
        return None
    inward = getattr(usage, "prompt_tokens", 0) or 0
    outward = getattr(usage, "completion_tokens", 0) or 0
    return float(inward * rates.get("input", 0) + outward * rates.get("output", 0)) * PER_MILLION


class Spending:
    """What a stack has spent since it opened.

    Args:
        limits: the run file's budget; None counts without limiting.
        rates: model id as callers write it → `{input, output}` in US dollars per million tokens.
    """

    def __init__(self, limits: Limits | None, rates: dict[str, Any]) -> None:
        self._limits, self._rates = limits, rates
        self.usd, self.tokens = 0.0, 0

    def cost(self, model: str | None, usage: Any) -> float | None:
        """US dollars of a call of this model, where its price is known."""
        return price(usage, self._rates.get(model or ""))

    async def middleware(self, call: Call, proceed: Handler) -> Any:
        """Refuse inference once the budget is spent; count what each call took."""
        if call.route.api != "inference" or call.route.key is None:
            return await proceed(call)
        self._check()
        result = await proceed(call)
        if hasattr(result, "__aiter__"):
            return self._counted(call, result)
        self._count(call)
        return result

    async def _counted(self, call: Call, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for item in items:
                yield item
        finally:
            await close(items)
            self._count(call)

    def _count(self, call: Call) -> None:
        if call.usage is None:
            return
        self.tokens += getattr(call.usage, "total_tokens", 0) or 0
        self.usd += self.cost(call.model, call.usage) or 0.0

    def _check(self) -> None:
        limits = self._limits
        if limits is None:
            return
        if limits.usd is not None and self.usd >= limits.usd:
            raise BudgetReached(
                f"the budget of ${limits.usd:.2f} is spent (${self.usd:.4f})", "raise budget.usd and rerun the cell"
            )
        if limits.tokens is not None and self.tokens >= limits.tokens:
            raise BudgetReached(
                f"the budget of {limits.tokens:,} tokens is spent ({self.tokens:,})",
                "raise budget.tokens and rerun the cell",
            )
