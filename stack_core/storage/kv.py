"""The key-value protocol: what a resource table or a provider's small state needs, and nothing more."""

from __future__ import annotations

from typing import Protocol

SEPARATOR = "\x1f"
"""Between a namespace and a key: a character that neither holds, so that no two pairs meet in one row."""


class KeyValue(Protocol):
    """Text by key, ordered by key (code points). A write that returned is durable."""

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        ...

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        ...

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        ...

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs whose key begins with `prefix` and is greater than `after`, by key, at most `limit`."""
        ...


class Scoped:
    """A view of a store in which every key begins with a namespace that its user never sees."""

    def __init__(self, store: KeyValue, namespace: str) -> None:
        self._store, self._prefix = store, f"{namespace}{SEPARATOR}"

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        return await self._store.get(self._prefix + key)

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        await self._store.set(self._prefix + key, value)

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        return await self._store.delete(self._prefix + key)

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs of this namespace, keys without it."""
        start = None if after is None else self._prefix + after
        found = await self._store.scan(self._prefix + prefix, after=start, limit=limit)
        return [(key[len(self._prefix) :], value) for key, value in found]
