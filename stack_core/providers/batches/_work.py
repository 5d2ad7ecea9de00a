"""One batch from its input file to its output files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from stack_core.apis._content import Upload
from stack_core.apis.batches import BatchError
from stack_core.apis.files import Files
from stack_core.errors import InvalidRequest, ProviderUnavailable, RateLimited, StackError, Unsupported
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
"""How often a request is made that the service puts off (429, 503)."""

Method = Callable[..., Awaitable[Any]]


class Work:
    """Carries out one batch.

    Args:
        records: the batches.
        methods: endpoint → the method that answers it.
        at_once: requests under way at the same time.
    """

    def __init__(
        self,
        batch_id: str,
        *,
        records: Records,
        outcomes: KeyValue,
        files: Files,
        methods: Mapping[str, Method],
        at_once: int,
    ) -> None:
        self._id, self._records, self._files, self._methods = batch_id, records, files, methods
        self._progress = Progress(outcomes, batch_id)
        self._at_once = at_once
        self._saved = 0.0

    async def run(self) -> None:
        """From wherever the batch stands to its end."""
        batch = await self._records.get(self._id)
        try:
            await self._progress.load()
            faults, total, model = await self._validated(batch)
            if not total or len(faults) == total:
                await self._fail(faults or [BatchError(code="empty_file", message="the input file has no requests")])
                return
            batch = await self._set(
                status="in_progress", in_progress_at=batch.get("in_progress_at") or _now(), model=model,
                errors=_told(faults), request_counts={"total": total, "completed": 0, "failed": 0},
            )  # fmt: skip
            self._progress.counts.total = total
            end = await self._answered(batch)
            await self._finish(end)
        except StackError as error:
            await self._fail([BatchError(code=error.code, message=error.message)])

    async def _validated(self, batch: Data) -> tuple[list[BatchError], int, str | None]:
        """(faults, number of lines, the one model of all) of a first reading; faulty lines have their outcome then."""
        faults: list[BatchError] = []
        models: set[str] = set()
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
                models.add(str(line.body.get("model")))
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
        method = self._methods[batch["endpoint"]]
        running: set[asyncio.Task[None]] = set()
        end = "completed"
        async with asyncio.TaskGroup() as group:
            async for line in self._lines(batch):
                if line.number in self._progress.done:
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
        for attempt in range(1, TRIES + 1):
            try:
                return _outcome.answered(line, await method(request=line.body))
            except (RateLimited, ProviderUnavailable) as error:
                if attempt == TRIES:
                    return _outcome.failed(line, error)
                wished = error.retry_after if isinstance(error, RateLimited) else None
                await asyncio.sleep(min(wished or 2.0**attempt / 4, 60.0))
            except StackError as error:
                return _outcome.failed(line, error)
        raise AssertionError("every attempt gives an outcome")

    async def _finish(self, end: str) -> None:
        batch = await self._set(status="cancelling" if end == "cancelled" else "finalizing", finalizing_at=_now())
        written = {
            "output_file_id": await self._upload(batch, "output", good=True),
            "error_file_id": await self._upload(batch, "error", good=False),
        }
        await self._set(
            status=end, request_counts=self._progress.counts.model_dump(), usage=self._progress.usage.model_dump(),
            **{f"{end}_at": _now()}, **written,
        )  # fmt: skip
        await self._progress.forget()

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
        await self._set(status="failed", failed_at=_now(), errors=_told(faults))
        await self._progress.forget()

    async def _set(self, **news: Any) -> Data:
        """Write what is new; a cancellation that came meanwhile is not overwritten by going on."""

        def changed(batch: Data) -> Data:
            given = dict(news)
            if batch["status"] == "cancelling" and given.get("status") in ("in_progress", "finalizing"):
                del given["status"]
            return {**batch, **given, "lease": {**batch["lease"], "seen": _now()}}

        batch = await self._records.get(self._id)
        status = str(news.get("status") or batch["status"])
        return await self._records.change(self._id, changed, open=_open(status))


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
