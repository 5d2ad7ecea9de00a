"""How far each process has come in the log of a collection, so that the others notice what it wrote.

Every writer has one small row of its own, so no two ever write the same: `tail/<log>/<writer>` says
`<times it wrote the log anew>.<number of its last row>`. Who makes the collection writes the first one, so that there
is none only where the collection was dropped.
"""

from __future__ import annotations

import secrets
import time
from typing import NamedTuple

from stack_core.storage.kv import KeyValue

FRESH = 1.0
"""The patience where no other process is known to serve the stack: a search should cost no more than the search."""


class Moved(NamedTuple):
    """What other writers did: rows of theirs may be after `number`. With `anew` one of them wrote the log anew or
    dropped it, and all is to be read again."""

    number: int
    anew: bool


class Tails:
    """The tails of one log.

    Args:
        log: where the rows of the log are.
        patience: seconds for which the other writers are not asked about.
    """

    def __init__(self, store: KeyValue, log: str, patience: float) -> None:
        self.writer = secrets.token_hex(4)
        self._store, self._prefix = store, f"tail/{log}"
        self._patience = patience
        self._seen: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._asked = 0.0
        self._anew = 0

    async def wrote(self, number: int, *, anew: bool = False) -> None:
        """Tell the others of a row of ours, or that the log was written anew."""
        self._anew += anew
        text = f"{self._anew}.{number}"
        await self._store.set(self._prefix + self.writer, text)
        self._seen[self.writer] = text

    async def moved(self, *, now: bool = False) -> Moved | None:
        """What the others did since they were last taken as `read`. None where they did nothing, or were asked about
        just now.

        Args:
            now: ask in any case.
        """
        asked = time.monotonic()
        if not now and asked - self._asked < self._patience:
            return None
        before, found = self._seen, await self._read()
        self._found = found
        others = [writer for writer, text in found.items() if writer != self.writer and before.get(writer) != text]
        gone = before.keys() - found.keys()
        if not others and not gone:
            self._asked = asked
            return None
        olds = [_parts(before.get(writer, "0.0")) for writer in others]
        anew = any(_parts(found[writer])[0] != old for writer, (old, _) in zip(others, olds, strict=True))
        return Moved(min((number for _, number in olds), default=0), anew or bool(gone))

    def read(self) -> None:
        """What `moved` told last was read: only then is it not told again."""
        self._seen, self._asked = {**self._seen, **self._found}, time.monotonic()

    async def begin(self) -> int:
        """Note where the others are; what they wrote until now is read next. Gives the greatest number so far."""
        self._seen, self._asked = await self._read(), time.monotonic()
        return max((_parts(text)[1] for text in self._seen.values()), default=0)

    async def forget(self) -> None:
        """Remove the rows of all writers."""
        for key, _ in await self._store.scan(self._prefix):
            await self._store.delete(key)

    async def _read(self) -> dict[str, str]:
        return {key[len(self._prefix) :]: text for key, text in await self._store.scan(self._prefix)}


def _parts(text: str) -> tuple[int, int]:
    anew, _, number = text.partition(".")
    return int(anew), int(number)
