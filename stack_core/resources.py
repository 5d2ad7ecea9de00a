"""One table for what is registered: models, shields, data sets, benchmarks, scoring functions, tool groups.

What the run file registers lives as long as the stack; what a call registers is kept in the key-value store, and wins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from stack_core.storage.kv import KeyValue

log = logging.getLogger(__name__)
R = TypeVar("R", bound=BaseModel)
SUGGESTED = 200
"""How many of many ids are looked at for the nearest one."""


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
        self._texts: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def all(self) -> dict[str, R]:
        """Every registration by identifier, with those that another process made in the same store."""
        async with self._lock:
            return {**self._fixed, **await self._registered(anew=True)}

    async def get(self, identifier: str) -> R | None:
        """One registration, as it was when the table was last read: quick, for what every call asks."""
        if self._kept is None:
            async with self._lock:
                await self._registered()
        return (self._kept or {}).get(identifier) or self._fixed.get(identifier)

    async def find(self, identifier: str) -> R | None:
        """One registration as it is in the store now; the others are not read."""
        if self._store is None:
            return await self.get(identifier)
        text = await self._store.get(self._prefix + identifier)
        kept = None if text is None else self._read(self._prefix + identifier, text)
        return kept or self._fixed.get(identifier)

    async def page(self, after: str | None, limit: int) -> list[tuple[str, R]]:
        """At most `limit` registrations by identifier, those greater than `after`; the others are not read."""
        fixed = [(name, row) for name, row in self._fixed.items() if after is None or name > after]
        if self._store is None:
            kept = [(name, row) for name, row in (self._kept or {}).items() if after is None or name > after]
        else:
            kept = await self._stored(self._store, after, limit)
        return sorted({**dict(fixed), **dict(kept)}.items())[:limit]

    async def near(self, identifier: str) -> dict[str, R]:
        """Some registrations for a suggestion: those that begin alike, and the first ones."""
        if self._store is None:
            return {**self._fixed, **(self._kept or {})}
        alike = await self._store.scan(self._prefix + identifier[:3], limit=SUGGESTED)
        first = await self._store.scan(self._prefix, limit=SUGGESTED)
        read = {key.removeprefix(self._prefix): self._read(key, text) for key, text in [*alike, *first]}
        return {**self._fixed, **{name: row for name, row in read.items() if row is not None}}

    async def put(self, identifier: str, resource: R) -> None:
        """Register, or replace."""
        async with self._lock:
            if self._store is not None:
                await self._store.set(self._prefix + identifier, resource.model_dump_json())
            if self._kept is not None:
                self._kept[identifier] = resource

    async def remove(self, identifier: str) -> bool:
        """Forget; says whether it was there."""
        async with self._lock:
            stored = self._store is not None and await self._store.delete(self._prefix + identifier)
            kept = self._kept.pop(identifier, None) if self._kept is not None else None
            return stored or (kept or self._fixed.pop(identifier, None)) is not None

    async def _registered(self, *, anew: bool = False) -> dict[str, R]:
        """Registrations by calls, read from the store at the first use and, with `anew`, again. What is there as it
        was is not parsed again."""
        if self._kept is None or (anew and self._store is not None):
            rows = await self._store.scan(self._prefix) if self._store is not None else []
            before, texts, kept = self._kept or {}, self._texts, {}
            for key, text in rows:
                identifier = key.removeprefix(self._prefix)
                same = before.get(identifier) if texts.get(identifier) == text else None
                if (resource := same or self._read(key, text)) is not None:
                    kept[identifier] = resource
            self._kept, self._texts = kept, {key.removeprefix(self._prefix): text for key, text in rows}
        return self._kept

    async def _stored(self, store: KeyValue, after: str | None, limit: int) -> list[tuple[str, R]]:
        """At most `limit` that are stored and can be read."""
        found: list[tuple[str, R]] = []
        start = None if after is None else self._prefix + after
        while rows := await store.scan(self._prefix, after=start, limit=limit):
            read = [(key.removeprefix(self._prefix), self._read(key, text)) for key, text in rows]
            found += [(name, row) for name, row in read if row is not None]
            start = rows[-1][0]
            if len(rows) < limit or len(found) >= limit:
                break
        return found[:limit]

    def _read(self, key: str, value: str) -> R | None:
        """A stored registration; one that a newer version wrote in another shape must not stop the others."""
        try:
            return self._shape.model_validate_json(value)
        except ValidationError as error:
            log.warning("the registration %s cannot be read and is left out: %s", key, error.errors()[0]["msg"])
            return None
