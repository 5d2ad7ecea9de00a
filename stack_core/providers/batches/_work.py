"""One batch from its input file to its output files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from stack_core.apis._content import Upload
from stack_core.apis.batches import BatchError
from stack_core.apis.files import Files
from stack_core.errors import (
    InvalidRequest,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    StackError,
    StoreUnavailable,
    Unsupported,
)
from stack_core.providers.batches import _lines, _outcome
from stack_core.providers.batches._lines import Line
from stack_core.providers.batches._progress import Progress
from stack_core.storage.kv import KeyValue
from stack_core.storage.records import Data, Records

TOLD_ERRORS = 100
"""How many faulty lines the batch itself names; the error file has them all."""
SAVE_SECONDS = 1.0
"""How often the counts of a running batch are written."""
TRIES = 4
"""How often a request is made that cannot be served at the moment (503)."""
TRIES_SLOWED = 8
"""How often one is made that the service puts off (429): about a minute in all, more where the service asks for it."""
LONGEST_WAIT = 600.0

log = logging.getLogger(__name__)
Method = Callable[..., Awaitable[Any]]


class TakenOver(StackError):
    """Another process works on the batch now."""


class Work:
    """Carries out one batch.

    Args:
        token: whose work it is: it ends as soon as the batch's lease names another.
        records: the batches.
        methods: endpoint → the method that answers it.
        at_once: requests under way at the same time.
    """

    def __init__(
        self,
        batch_id: str,
        token: str,
        *,
        records: Records,
        outcomes: KeyValue,
        files: Files,
        methods: Mapping[str, Method],
        at_once: int,
    ) -> None:
        self._id, self._token = batch_id, token
        self._records, self._files, self._methods = records, files, methods
        self._progress = Progress(outcomes, batch_id)
        self._at_once = at_once
        self._saved = 0.0

    async def run(self) -> None:
        """From wherever the batch stands to its end.

        Raises:
            TakenOver: another process works on it now.
            StoreUnavailable: a store is away; what was done is kept, and another run goes on from there.
        """
        batch = await self._set()
        if end := batch.get("ended"):
            await self._close(end)
            return
        try:
            await self._progress.load()
            await self._done(batch)
        except (TakenOver, StoreUnavailable):
            raise
        except StackError as error:
            await self._fail([BatchError(code=error.code, message=error.message)])

    async def beat(self) -> Data:
        """Say that somebody works on the batch; gives it."""
        return await self._set()

    async def _done(self, batch: Data) -> None:
        if batch["status"] == "cancelling":
            self._progress.counts.total = (batch.get("request_counts") or {}).get("total", 0)
            await self._finish("cancelled")
            return
        faults, total, model = await self._validated(batch)
        if not total or len(faults) == total:
            await self._fail(faults or [BatchError(code="empty_file", message="the input file has no requests")])
            return
        self._progress.counts.total = total
        batch = await self._set(
            status="in_progress", in_progress_at=batch.get("in_progress_at") or _now(), model=model,
            errors=_told(faults), request_counts=self._progress.counts.model_dump(),
        )  # fmt: skip
        end = await self._answered(batch)
        if end == "expired":
            await self._expire(batch)
        await self._finish(end)

    async def _validated(self, batch: Data) -> tuple[list[BatchError], int, str | None]:
        """(faults, number of lines, the one model of all) of a first reading; faulty lines have their outcome then."""
        faults: list[BatchError] = []
        models: set[Any] = set()
        total = 0
        async for line in self._lines(batch):
            total += 1
            if total > _lines.MOST_LINES:
                raise InvalidRequest(f"the input file has more than {_lines.MOST_LINES:,} requests", "split it")
            if line.fault is not None:
                faults.append(line.fault)
                if line.number not in self._progress.done:
                    await self._progress.add(line, _outcome.faulty(line))
            else:
                model = line.body.get("model")
                models.add(model if isinstance(model, str) else None)
        return faults, total, models.pop() if len(models) == 1 else None

    async def _lines(self, batch: Data) -> AsyncIterator[Line]:
        seen: set[str] = set()
        content = await self._files.get_file_content(batch["input_file_id"])
        async for number, text in _lines.texts(content):
            line = _lines.parse(number, text, batch["endpoint"])
            if line.custom_id is not None and line.custom_id in seen:
                line = _lines.repeated(line)
            elif line.custom_id is not None:
                seen.add(line.custom_id)
            yield line

    async def _answered(self, batch: Data) -> str:
        """Make every request that has no outcome yet; gives the status that the batch ends with."""
        try:
            async with asyncio.TaskGroup() as group:
                return await self._asked(batch, group)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _asked(self, batch: Data, group: asyncio.TaskGroup) -> str:
        method = self._methods[batch["endpoint"]]
        running: set[asyncio.Task[None]] = set()
        end = "completed"
        async for line in self._lines(batch):
            if line.number in self._progress.done or line.fault is not None:
                continue
            end = await self._room(batch, running, self._at_once)
            if end != "completed":
                break
            task = group.create_task(self._one(line, method))
            running.add(task)
            task.add_done_callback(running.discard)
        if end == "completed":
            end = await self._room(batch, running, 1)
        for task in list(running):
            task.cancel()
        return end

    async def _room(self, batch: Data, running: set[asyncio.Task[None]], most: int) -> str:
        """Wait until fewer than `most` requests run, hearing of a cancellation meanwhile."""
        end = await self._stopped(batch)
        while end == "completed" and len(running) >= most:
            await asyncio.wait(list(running), timeout=SAVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            end = await self._stopped(batch)
        return end

    async def _stopped(self, batch: Data) -> str:
        """Whether the batch must end now: `cancelled`, `expired`, or `completed` where it goes on. Writes the counts
        now and then."""
        now = time.monotonic()
        if now - self._saved < SAVE_SECONDS:
            return "completed"
        self._saved = now
        kept = await self._set(request_counts=self._progress.counts.model_dump())
        if kept["status"] == "cancelling":
            return "cancelled"
        return "expired" if _now() >= batch["expires_at"] else "completed"

    async def _one(self, line: Line, method: Method) -> None:
        await self._progress.add(line, await self._outcome_of(line, method))

    async def _outcome_of(self, line: Line, method: Method) -> _outcome.Outcome:
        attempt = 0
        while True:
            attempt += 1
            try:
                return _outcome.answered(line, await method(request=line.body))
            except (RateLimited, ProviderUnavailable, StoreUnavailable) as error:
                if attempt >= (TRIES_SLOWED if isinstance(error, RateLimited) else TRIES):
                    return _outcome.failed(line, error)
                wished = error.retry_after if isinstance(error, RateLimited) else None
                await asyncio.sleep(min(wished or 2.0**attempt / 4, LONGEST_WAIT))
            except StackError as error:
                return _outcome.failed(line, error)
            except Exception as error:  # a provider's own mistake must not stop the other requests
                log.exception("line %d of %s failed", line.number, self._id)
                told = ProviderError(f"its provider failed: {type(error).__name__}", "the log of the stack says more")
                return _outcome.failed(line, told)

    async def _expire(self, batch: Data) -> None:
        """Say of every request without an outcome that there was no time for it."""
        message = "This request could not be executed before the completion window expired."
        async for line in self._lines(batch):
            if line.number not in self._progress.done:
                await self._progress.add(line, _outcome.unanswered(line, "batch_expired", message))

    async def _finish(self, end: str) -> None:
        """Write the files and end. One that was written before a restart is not written again."""
        batch = await self._set(status="finalizing", finalizing_at=_now())
        if batch["status"] == "cancelling" and end == "completed":
            end = "cancelled"
        for name, good in (("output", True), ("error", False)):
            if not batch.get(f"{name}_file_id"):
                batch = await self._set(**{f"{name}_file_id": await self._upload(batch, name, good=good)})
        counts, usage = self._progress.counts.model_dump(), self._progress.usage.model_dump()
        await self._set(ended=end, request_counts=counts, usage=usage)
        await self._close(end)

    async def _close(self, end: str) -> None:
        """The end of a batch whose files are there."""
        await self._progress.forget()
        await self._set(status=end, **{f"{end}_at": _now()})

    async def _upload(self, batch: Data, name: str, *, good: bool) -> str | None:
        file = await self._progress.written(good=good)
        if file is None:
            return None
        with file:
            upload = Upload(file, f"{self._id}_{name}.jsonl", "application/jsonl")
            expiry = {"expires_after": batch["output_expires_after"]} if batch.get("output_expires_after") else {}
            made = await self._files.create_file(file=upload, purpose="batch_output", **expiry)  # type: ignore[call-arg]  # a bound API takes the request's fields
        return str(made.id)

    async def _fail(self, faults: list[BatchError]) -> None:
        """End as failed. What was answered before is kept."""
        await self._set(errors=_told(faults))
        if self._progress.counts.completed:
            await self._finish("failed")
        else:
            await self._close("failed")

    async def _set(self, **news: Any) -> Data:
        """Write what is new; a cancellation that came meanwhile is not overwritten by going on.

        Raises:
            TakenOver: another process works on it now.
        """

        def changed(batch: Data) -> Data:
            if batch["lease"]["token"] != self._token:
                raise TakenOver(f"another process works on {self._id}")
            given = dict(news)
            if batch["status"] == "cancelling" and given.get("status") in ("in_progress", "finalizing"):
                del given["status"]
            return {**batch, **given, "lease": {**batch["lease"], "seen": _now()}}

        column: dict[str, Any] = {"open": _open(news["status"])} if "status" in news else {}
        return await self._records.change(self._id, changed, **column)


def _told(faults: list[BatchError]) -> dict[str, Any] | None:
    if not faults:
        return None
    return {"object": "list", "data": [fault.model_dump() for fault in faults[:TOLD_ERRORS]]}


def _open(status: str) -> int:
    return int(status in ("validating", "in_progress", "finalizing", "cancelling"))


def _now() -> int:
    return int(time.time())


def no_method(endpoint: str) -> Method:
    """Answers for an API that this stack does not have."""

    async def refuse(**_: Any) -> Any:
        raise Unsupported(f"nothing here serves {endpoint}", "add a provider of its API to the run file")

    return refuse
