"""How far a batch is: every outcome is kept when it comes, so that a restart goes on where the last run stopped."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

from pydantic_core import to_json

from stack_core.apis.batches import BatchUsage, RequestCounts
from stack_core.providers.batches._lines import Line
from stack_core.providers.batches._outcome import Outcome, count_tokens
from stack_core.storage.kv import KeyValue

_PAGE = 500


class Progress:
    """The outcomes of one batch by line."""

    def __init__(self, store: KeyValue, batch_id: str) -> None:
        self._store, self._prefix = store, f"outcome:{batch_id}:"
        self.done: set[int] = set()
        self.counts, self.usage = RequestCounts(), BatchUsage()

    async def load(self) -> None:
        """Read what earlier runs have done."""
        async for number, outcome in self.outcomes():
            self._note(number, outcome)

    async def add(self, line: Line, outcome: Outcome) -> None:
        """Keep an outcome."""
        await self._store.set(f"{self._prefix}{line.number:08d}", outcome.text())
        self._note(line.number, outcome)

    def _note(self, number: int, outcome: Outcome) -> None:
        self.done.add(number)
        if outcome.good:
            self.counts.completed += 1
            count_tokens(self.usage, outcome.row)
        else:
            self.counts.failed += 1

    async def outcomes(self) -> AsyncIterator[tuple[int, Outcome]]:
        """(line, outcome), by line."""
        after: str | None = None
        while rows := await self._store.scan(self._prefix, after=after, limit=_PAGE):
            for key, text in rows:
                yield int(key.removeprefix(self._prefix)), Outcome.read(text)
            after = rows[-1][0]

    async def written(self, *, good: bool) -> BinaryIO | None:
        """The rows of the output file, or of the error file, in an unnamed file; None where there are none."""
        file: Any = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - whoever uploads it closes it
        async for _, outcome in self.outcomes():
            if outcome.good is good:
                file.write(to_json(outcome.row) + b"\n")
        if not file.tell():
            file.close()
            return None
        found: BinaryIO = file
        return found

    async def forget(self) -> None:
        """Drop what is kept, once the files are there."""
        while rows := await self._store.scan(self._prefix, limit=_PAGE):
            for key, _ in rows:
                await self._store.delete(key)
