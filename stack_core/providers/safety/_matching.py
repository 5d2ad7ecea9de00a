"""Regular expressions of users, matched in another process with a limit of time."""

from __future__ import annotations

import asyncio
import marshal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stack_core.providers.safety._pii import Span

CHILD = Path(__file__).with_name("_match_child.py")


class TooSlow(Exception):
    """A pattern did not come to an end in time."""


class Matcher:
    """The process, started at the first pattern and again after one that was too slow."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._lock = asyncio.Lock()

    async def spans(
        self, pattern: str, flags: int, texts: Sequence[str], *, most: int, seconds: float
    ) -> list[list[Span]]:
        """The places of a pattern in each text, at most `most` in each.

        Raises:
            TooSlow: it takes longer than `seconds`.
        """
        asked = marshal.dumps((pattern, int(flags), list(texts), most))
        async with self._lock:
            process = await self._started()
            try:
                async with asyncio.timeout(seconds):
                    return await _exchange(process, asked)
            except TimeoutError:
                await self._end()
                raise TooSlow from None
            except BaseException:  # its answer, or a part of it, would be taken for the next one's
                await self._end()
                raise

    async def aclose(self) -> None:
        """End the process."""
        async with self._lock:
            await self._end()

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            # Not the working directory: files there must not stand in for modules.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(CHILD), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _exchange(process: Process, asked: bytes) -> list[list[Span]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(asked).to_bytes(8, "big") + asked)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(8), "big")
    found: list[list[Span]] = marshal.loads(await process.stdout.readexactly(length))
    return found
