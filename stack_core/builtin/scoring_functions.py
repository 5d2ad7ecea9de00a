"""The registry of scoring functions: what is registered, and what providers bring."""

from __future__ import annotations

from typing import Any, cast

from stack_core.apis._call import Call
from stack_core.apis.scoring_functions import (
    RegisterScoringFnRequest,
    ScoringFn,
    ScoringFnList,
    ScoringFunctions,
    ScoringSource,
)
from stack_core.builtin._ground import Ground
from stack_core.builtin._registry import Kind, Registry, named
from stack_core.errors import InvalidRequest, NotFound, StackError


def _make(request: RegisterScoringFnRequest, provider_id: str) -> ScoringFn:
    return ScoringFn(
        identifier=request.scoring_fn_id,
        provider_id=provider_id,
        provider_resource_id=request.provider_scoring_fn_id or request.scoring_fn_id,
        description=request.description,
        return_type=request.return_type,
        params=request.params,
    )


_KIND = Kind("scoring function", ScoringFn, RegisterScoringFnRequest, _make, "scoring", "scoring_fns", "scoring_fn_id")


class ScoringFnRegistry(ScoringFunctions):
    """Scoring functions; as a lookup the provider that scores with one."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._registry = Registry(ground, _KIND)

    async def __call__(self, call: Call) -> Any:
        """The provider of a call that names a scoring function."""
        return self._registry.serve(call, await self.get_scoring_function(str(named(call, _KIND.key))))

    async def list_scoring_functions(self) -> ScoringFnList:
        """Registered functions, then what each provider brings."""
        rows = {row.identifier: row for row in await self._registry.all()}
        for row in await self._brought():
            rows.setdefault(row.identifier, row)
        return ScoringFnList(data=list(rows.values()))

    async def get_scoring_function(self, scoring_fn_id: str) -> ScoringFn:
        """One scoring function."""
        try:
            return await self._registry.get(scoring_fn_id)
        except NotFound:
            brought = {row.identifier: row for row in await self._brought()}
            if scoring_fn_id in brought:
                return brought[scoring_fn_id]
            known = [*brought, *(row.identifier for row in await self._registry.all())]
            raise NotFound(_KIND.name, scoring_fn_id, known) from None

    async def register_scoring_function(self, request: RegisterScoringFnRequest) -> None:
        """Give a provider's function with parameters of your own an id."""
        await self._registry.register(request)

    async def unregister_scoring_function(self, scoring_fn_id: str) -> None:
        """Forget a registration."""
        try:
            await self._registry.unregister(scoring_fn_id)
        except NotFound:
            if any(row.identifier == scoring_fn_id for row in await self._brought()):
                raise InvalidRequest(f"{scoring_fn_id} is its provider's own and cannot be removed") from None
            raise

    async def _brought(self) -> list[ScoringFn]:
        """What the providers bring. One that fails is left out: its health says why."""
        found: list[ScoringFn] = []
        for serving in self._ground.providers("scoring").values():
            if hasattr(serving.instance, "scoring_functions"):
                try:
                    found += await cast(ScoringSource, serving.instance).scoring_functions()
                except StackError:
                    continue
        return found
