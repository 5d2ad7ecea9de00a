"""`inline::reference`: batches carried out by the stack itself, in the background.

A batch that was under way when the process ended goes on when the stack opens again, from the first request that has no
outcome yet. With several processes on one store, each batch has one that works on it; another one takes it over when
that is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from stack_core import context
from stack_core.apis._shapes import PageQuery
from stack_core.apis.batches import Batch, Batches, BatchList, CreateBatchRequest
from stack_core.apis.files import Files
from stack_core.apis.inference import Inference
from stack_core.apis.responses import Responses
from stack_core.background import Background
from stack_core.errors import Conflict, InvalidRequest, StackError, StoreUnavailable
from stack_core.lease import Holder
from stack_core.providers import provider
from stack_core.providers.batches._work import Method, TakenOver, Work, no_method
from stack_core.storage.kv import KeyValue
from stack_core.storage.records import Data, Records
from stack_core.storage.references import KVReference
from stack_core.storage.sql import Column, Sql, Where

log = logging.getLogger(__name__)
WINDOWS = {"24h": 24 * 3600}
"""Completion window → seconds (OpenAI has this one)."""
SWEEP_SECONDS = 20.0
"""How often is looked for batches whose process is gone, and how often a process says that it works on one."""
RETRY_SECONDS = 5.0
"""How long a batch waits for a store that is away."""
OVER = ("completed", "failed", "expired", "cancelled")
_OURS = ("lease", "output_expires_after", "idempotency", "attributes", "ended")
"""What is kept beside the fields that callers see."""


@provider("inline::reference")
class ReferenceBatches(Batches):
    """Carries out batches in this process: bounded requests at a time, resumed after a restart."""

    class Config(BaseModel):
        """How much at a time, and where outcomes wait until their batch is over."""

        model_config = ConfigDict(extra="forbid")
        kvstore: KVReference | None = None
        max_concurrent_batches: int = Field(1, ge=1, description="Batches under way at the same time.")
        max_concurrent_requests_per_batch: int = Field(10, ge=1, description="Requests under way in one batch.")

    def __init__(
        self,
        config: Config,
        *,
        files: Files,
        inference: Inference,
        responses: Responses | None,
        kvstore: KeyValue,
        store: Sql,
    ) -> None:
        self._config, self._files, self._outcomes = config, files, kvstore
        self._methods: dict[str, Method] = {
            "/v1/chat/completions": inference.chat_completion,
            "/v1/completions": inference.completion,
            "/v1/embeddings": inference.embeddings,
            "/v1/responses": no_method("/v1/responses") if responses is None else responses.create_response,
        }
        self._records = Records(store, "batches", "batch", fields=[Column("open", "integer")])
        self._background = Background()
        self._turn = asyncio.Semaphore(config.max_concurrent_batches)
        self._hurry: dict[str, asyncio.Event] = {}
        self._holder = Holder()

    async def __aenter__(self) -> ReferenceBatches:
        await self._adopt_all()
        self._background.start("sweep", self._sweep())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._background.close()
        self._holder.close()

    async def create_batch(self, request: CreateBatchRequest) -> Batch:
        """Start a batch.

        Raises:
            InvalidRequest: an endpoint, a window or metadata that is not served.
            NotFound: no such input file.
            Conflict: the idempotency key was used with another request.
        """
        self._check(request)
        owner, now = context.owner(), int(time.time())
        asked = request.model_dump(mode="json", exclude={"idempotency_key"})
        batch_id = f"batch_{uuid4().hex}"
        if request.idempotency_key is not None:
            named = hashlib.sha256(json.dumps([owner, request.idempotency_key]).encode())
            batch_id = f"batch_{named.hexdigest()[:32]}"
            if (known := await self._records.find(batch_id, owner=owner)) is not None:
                return self._same(known, asked)
        await self._files.get_file(request.input_file_id)
        data = self._new(batch_id, request, now)
        try:
            await self._records.add({**data, "idempotency": asked}, owner=owner, open=1)
        except Conflict:  # the same key at the same moment
            return self._same(await self._records.get(batch_id, owner=owner), asked)
        self._begin(batch_id, context.user.get(), dict(context.provider_data.get()))
        return _shown(data)

    def _new(self, batch_id: str, request: CreateBatchRequest, now: int) -> Data:
        expiry, caller = request.output_expires_after, context.user.get()
        return {
            **Batch(
                id=batch_id,
                endpoint=request.endpoint,
                input_file_id=request.input_file_id,
                completion_window=request.completion_window,
                status="validating",
                created_at=now,
                expires_at=now + WINDOWS[request.completion_window],
                metadata=request.metadata,
            ).model_dump(mode="json"),
            "lease": self._holder.lease(),
            "output_expires_after": expiry.model_dump() if expiry else None,
            "attributes": {name: list(values) for name, values in caller.attributes.items()} if caller else {},
        }

    def _check(self, request: CreateBatchRequest) -> None:
        served = {"endpoint": list(self._methods), "completion_window": list(WINDOWS)}
        wrong = [name for name, known in served.items() if getattr(request, name) not in known]
        if wrong:
            told = "; ".join(f"{name}: {getattr(request, name)!r} is not served" for name in wrong)
            hints = "; ".join(f"{name}: one of {', '.join(served[name])}" for name in wrong)
            faults = [{"loc": [name], "msg": f"one of {', '.join(served[name])}", "type": "enum"} for name in wrong]
            raise InvalidRequest(told, hints, errors=faults)

    def _same(self, known: Data, asked: dict[str, Any]) -> Batch:
        if known["idempotency"] != asked:
            raise Conflict("this idempotency_key was used with another request", "use a new key for a new batch")
        return _shown(known)

    async def list_batches(self, request: PageQuery) -> BatchList:
        """A page of batches."""
        page = await self._records.page(
            after=request.after, limit=request.limit, order=request.order, owner=context.owner()
        )
        return BatchList(data=[_shown(batch) for batch in page.data], **page.ends())

    async def get_batch(self, batch_id: str) -> Batch:
        """One batch. One whose process is gone is taken over."""
        batch = await self._records.get(batch_id, owner=context.owner())
        await self._adopt(batch)
        return _shown(batch)

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Stop a batch.

        Raises:
            Conflict: it is over.
        """
        batch = await self._records.get(batch_id, owner=context.owner())
        if batch["status"] in OVER:
            raise Conflict(f"{batch_id} is {batch['status']} and cannot be cancelled")
        if batch["status"] in ("validating", "in_progress"):
            stopping = {"status": "cancelling", "cancelling_at": int(time.time())}

            def changed(current: Data) -> Data:
                going = current["status"] in ("validating", "in_progress")
                return {**current, **stopping} if going else current

            batch = await self._records.change(batch_id, changed)
        if batch_id in self._hurry:
            self._hurry[batch_id].set()
        await self._adopt(batch)
        return _shown(batch)

    async def _sweep(self) -> None:
        """Now and then, take over what others left."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self._adopt_all()
            except StackError as error:
                log.warning("batches cannot be looked at: %s", error.message)

    async def _adopt_all(self) -> None:
        left = await self._records.page(limit=None, order="asc", where=[Where("open", "=", 1)])
        for batch in left.data:
            await self._adopt(batch)

    async def _adopt(self, batch: Data) -> None:
        """Work on a batch that is not over and that nobody works on."""
        if batch["status"] in OVER or self._background.running(batch["id"]) or self._holder.taken(batch["lease"]):
            return
        lease = self._holder.lease()

        def taken(current: Data) -> Data:
            return {**current, "lease": lease} if current["lease"] == batch["lease"] else current

        kept = await self._records.change(batch["id"], taken)
        if kept["lease"] != lease or kept["status"] in OVER:
            return  # another process was first
        owner = await self._records.owner_of(batch["id"])
        attributes = {name: tuple(values) for name, values in (batch.get("attributes") or {}).items()}
        self._begin(batch["id"], context.User(owner, attributes) if owner else None, {})

    def _begin(self, batch_id: str, caller: context.User | None, data: dict[str, Any]) -> None:
        self._background.start(batch_id, self._run(batch_id), caller=caller, data=data)

    async def _run(self, batch_id: str) -> None:
        """Carry out a batch, again and again while a store is away."""
        beating = asyncio.create_task(self._beat(batch_id))
        try:
            async with self._turn_of(batch_id):
                while True:
                    try:
                        return await self._work(batch_id).run()
                    except StoreUnavailable as error:
                        log.warning("%s waits for its store: %s", batch_id, error.message)
                        await asyncio.sleep(RETRY_SECONDS)
        except TakenOver as error:
            log.info("%s", error.message)
        finally:
            beating.cancel()

    def _work(self, batch_id: str) -> Work:
        return Work(
            batch_id,
            self._holder.token,
            records=self._records,
            outcomes=self._outcomes,
            files=self._files,
            methods=self._methods,
            at_once=self._config.max_concurrent_requests_per_batch,
        )

    @asynccontextmanager
    async def _turn_of(self, batch_id: str) -> AsyncIterator[None]:
        """A place among those that are carried out. One that is cancelled while it waits needs none."""
        hurry = self._hurry[batch_id] = asyncio.Event()
        turn, hurried = asyncio.create_task(self._turn.acquire()), asyncio.create_task(hurry.wait())
        try:
            await asyncio.wait([turn, hurried], return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            del self._hurry[batch_id]
            hurried.cancel()
            if turn.done() and not turn.cancelled():
                self._turn.release()
            turn.cancel()

    async def _beat(self, batch_id: str) -> None:
        """Tell other processes that this one works on a batch, also while it waits for its turn."""
        work = self._work(batch_id)
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                batch = await work.beat()
            except TakenOver:
                return
            except StackError as error:
                log.warning("%s: %s", batch_id, error.message)
                continue
            if batch["status"] == "cancelling" and batch_id in self._hurry:
                self._hurry[batch_id].set()


def _shown(batch: Data) -> Batch:
    return Batch.model_validate({name: value for name, value in batch.items() if name not in _OURS})
