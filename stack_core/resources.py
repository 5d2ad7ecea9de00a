"""One table for what is registered: models now, shields, stores and the rest when their APIs come.

What the run file registers lives as long as the stack; what a call registers is kept in the key-value store, and wins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from stack_core.storage.kv import KeyValue

log = logging.getLogger(__name__)
R = TypeVar("R", bound=BaseModel)


class ResourceTable(Generic[R]):
    """Resources of one kind by identifier.

    Args:
        kind: the prefix of their keys, such as `model`.
        shape: their model.
        store: where registrations are kept; None keeps them in memory only.
        fixed: what the run file registers.
    """

    def __init__(self, kind: str, shape: type[R], store: KeyValue | None, fixed: Iterable[tuple[str, R]] = ()) -> None:
        self._prefix, self._shape, self._store = f"{kind}:", shape, store
        self._fixed = dict(fixed)
        self._kept: dict[str, R] | None = None if store is not None else {}

    async def all(self) -> dict[str, R]:
        """Every registration by identifier, with those that another process made in the same store."""
        return {**self._fixed, **await self._registered(anew=True)}

    async def get(self, identifier: str) -> R | None:
        """One registration."""
        return (await self._registered()).get(identifier) or self._fixed.get(identifier)

    async def put(self, identifier: str, resource: R) -> None:
        """Register, or replace."""
        kept = await self._registered()
        if self._store is not None:
            await self._store.set(self._prefix + identifier, resource.model_dump_json())
        kept[identifier] = resource

    async def remove(self, identifier: str) -> bool:
        """Forget; says whether it was there."""
        kept = await self._registered()
        if self._store is not None and identifier in kept:
            await self._store.delete(self._prefix + identifier)
        return (kept.pop(identifier, None) or self._fixed.pop(identifier, None)) is not None

    async def _registered(self, *, anew: bool = False) -> dict[str, R]:
        """Registrations by calls, read from the store at the first use and, with `anew`, again."""
        if self._kept is None or (anew and self._store is not None):
            rows = await self._store.scan(self._prefix) if self._store is not None else []
            found = {key.removeprefix(self._prefix): self._read(key, value) for key, value in rows}
            self._kept = {identifier: resource for identifier, resource in found.items() if resource is not None}
        return self._kept

    def _read(self, key: str, value: str) -> R | None:
        """A stored registration; one that a newer version wrote in another shape must not stop the others."""
        try:
            return self._shape.model_validate_json(value)
        except ValidationError as error:
            log.warning("the registration %s cannot be read and is left out: %s", key, error.errors()[0]["msg"])
            return None
