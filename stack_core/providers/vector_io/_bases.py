"""Logs that are written anew while other processes read and write them.

What lives is written as rows of a base, `<log>000000000000.<base>.<number>.put`, which are replayed before all others.
They count from the moment when the base's head is there, `head/<log><base>`: it names the rows and the bases in whose
place it is. So a row that another process wrote meanwhile comes after the base and keeps its effect, and it does not
matter how many of the old rows are deleted yet. One process at a time may do this: it holds `claim/<log><writer>`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Set
from typing import NamedTuple

from stack_core.errors import StoreUnavailable
from stack_core.storage.kv import KeyValue

HELD = 600.0
"""Seconds after which the claim of a process that ended in between does not count any more."""
FIRST = f"{0:012d}."
"""Begins the rows of bases, after the log's own prefix."""


class Standing(NamedTuple):
    """Which rows of a log count: those of `bases`, and others that are not `covered` by one."""

    log: str
    bases: frozenset[str]
    covered: frozenset[str]

    def counts(self, key: str) -> bool:
        """Whether a row is to be replayed."""
        place = key[len(self.log) :]
        if place.startswith(FIRST) and place[len(FIRST) :].partition(".")[0] not in self.bases:
            return False
        return key not in self.covered


class Bases:
    """The bases of one log, as one of its writers sees them."""

    def __init__(self, store: KeyValue, log: str, writer: str) -> None:
        self._store, self._log = store, log
        self._heads, self._claims = f"head/{log}", f"claim/{log}"
        self._claim = self._claims + writer

    async def standing(self) -> Standing:
        """Which rows count now.

        Raises:
            StoreUnavailable: a head is damaged.
        """
        found = await self._store.scan(self._heads)
        try:
            rows = {key[len(self._heads) :]: json.loads(text) for key, text in found}
            replaced = {base for row in rows.values() for base in row["bases"]}
            covered = frozenset(key for row in rows.values() for key in row["covers"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(
                f"a row under {self._heads} is damaged ({type(error).__name__}: {error})",
                "restore a copy of the store, or drop the vector store and put its files in again",
            ) from error
        return Standing(self._log, frozenset(rows.keys() - replaced), covered)

    async def claim(self) -> bool:
        """Ask to be the one who writes the log anew. Where two ask at once, one or both are refused."""
        await self._store.set(self._claim, str(time.time()))
        for key, text in await self._store.scan(self._claims):
            if key == self._claim:
                continue
            if abs(time.time() - float(text)) < HELD:
                await self.release()
                return False
            await self._store.delete(key)
        return True

    async def claimed(self) -> bool:
        """Whether the claim still stands: another process takes it away after `HELD` seconds."""
        return await self._store.get(self._claim) is not None

    async def release(self) -> None:
        """Give the claim back."""
        await self._store.delete(self._claim)

    async def stand(self, base: str, old: Standing, covers: Set[str]) -> None:
        """Let a base whose rows are all written count from now on, in the place of other rows and bases."""
        row = {"bases": sorted(old.bases), "covers": sorted(covers)}
        await self._store.set(self._heads + base, json.dumps(row))

    async def stand_alone(self, base: str) -> None:
        """Remove the heads of all other bases, once their rows are deleted."""
        for key, _ in await self._store.scan(self._heads):
            if key != self._heads + base:
                await self._store.delete(key)

    async def forget_all(self) -> None:
        """Remove everything but the rows."""
        for prefix in (self._heads, self._claims):
            for key, _ in await self._store.scan(prefix):
                await self._store.delete(key)
