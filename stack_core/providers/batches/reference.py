"""`inline::reference`: batches carried out by the stack itself, in the background.

A batch that was under way when the process ended goes on when the stack opens again, from the first request that has no
outcome yet. With several processes on one store, each batch has one that works on it; another one takes it over when
that is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
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
from stack_core.errors import Conflict, InvalidRequest
from stack_core.providers import provider
from stack_core.providers.batches._work import Method, Work, no_method
from stack_core.storage.kv import KeyValue
from stack_core.storage.records import Data, Records
from stack_core.storage.references import KVReference
from stack_core.storage.sql import Column, Sql, Where

WINDOWS = {"24h": 24 * 3600}
"""Completion window → seconds (OpenAI has this one)."""
STALE_SECONDS = 60
"""After this long without a word from the process that works on a batch, another one takes it over."""
_OPEN: set[str] = set()
"""Those of this process that are open: a container's process may have the number of the one before it."""
_OURS = ("lease", "output_expires_after", "idempotency")
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
        self._process: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "token": uuid4().hex}

    async def __aenter__(self) -> ReferenceBatches:
        _OPEN.add(self._process["token"])
        left = await self._records.page(limit=None, order="asc", where=[Where("open", "=", 1)])
        for batch in left.data:
            await self._adopt(batch)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._background.close()
        _OPEN.discard(self._process["token"])

    async def create_batch(self, request: CreateBatchRequest) -> Batch:
        """Start a batch.

        Raises:
            InvalidRequest: an endpoint, a window or metadata that is not served.
            NotFound: no such input file.
            Conflict: the idempotency key was used with another request.
        """
        self._check(request)
        await self._files.get_file(request.input_file_id)
        owner, now = context.owner(), int(time.time())
        print_of = request.model_dump_json(exclude={"idempotency_key"})
        batch_id = f"batch_{uuid4().hex}"
        if request.idempotency_key is not None:
            named = hashlib.sha256(f"{owner} {request.idempotency_key}".encode())
            batch_id = f"batch_{named.hexdigest()[:32]}"
            if (known := await self._records.find(batch_id, owner=owner)) is not None:
                return self._same(known, print_of)
        data = self._new(batch_id, request, now)
        try:
            await self._records.add({**data, "idempotency": print_of}, owner=owner, open=1)
        except Conflict:  # the same key at the same moment
            return self._same(await self._records.get(batch_id, owner=owner), print_of)
        self._begin(batch_id, context.user.get(), dict(context.provider_data.get()))
        return _shown(data)

    def _new(self, batch_id: str, request: CreateBatchRequest, now: int) -> Data:
        expiry = request.output_expires_after
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
            "lease": {**self._process, "seen": now},
            "output_expires_after": expiry.model_dump() if expiry else None,
        }

    def _check(self, request: CreateBatchRequest) -> None:
        if request.endpoint not in self._methods:
            raise InvalidRequest(f"endpoint: {request.endpoint!r} is not served", f"one of {', '.join(self._methods)}")
        if request.completion_window not in WINDOWS:
            given = request.completion_window
            raise InvalidRequest(f"completion_window: {given!r} is not served", f"one of {', '.join(WINDOWS)}")
        pairs = request.metadata or {}
        if len(pairs) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in pairs.items()):
            raise InvalidRequest("metadata: at most 16 pairs, keys of 64 and values of 512 characters")

    def _same(self, known: Data, print_of: str) -> Batch:
        if known["idempotency"] != print_of:
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
        if batch["status"] in ("completed", "failed", "expired", "cancelled"):
            raise Conflict(f"{batch_id} is {batch['status']} and cannot be cancelled")
        if batch["status"] in ("validating", "in_progress"):
            stopping = {"status": "cancelling", "cancelling_at": int(time.time())}

            def changed(current: Data) -> Data:
                going = current["status"] in ("validating", "in_progress")
                return {**current, **stopping} if going else current

            batch = await self._records.change(batch_id, changed)
        await self._adopt(batch)
        return _shown(batch)

    async def _adopt(self, batch: Data) -> None:
        """Work on a batch that is not over and that nobody works on."""
        over = batch["status"] in ("completed", "failed", "expired", "cancelled")
        if over or self._background.running(batch["id"]) or self._alive(batch["lease"]):
            return
        lease = {**self._process, "seen": int(time.time())}
        await self._records.change(batch["id"], lambda current: {**current, "lease": lease})
        owner = await self._records.owner_of(batch["id"])
        self._begin(batch["id"], context.User(owner) if owner else None, {})

    def _alive(self, lease: dict[str, Any]) -> bool:
        """Whether another process works on the batch of this lease."""
        if lease["host"] != self._process["host"]:
            return time.time() - float(lease["seen"]) < STALE_SECONDS
        if lease["pid"] == self._process["pid"]:
            return lease["token"] in _OPEN and lease["token"] != self._process["token"]
        try:
            os.kill(lease["pid"], 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return time.time() - float(lease["seen"]) < STALE_SECONDS

    def _begin(self, batch_id: str, caller: context.User | None, data: dict[str, Any]) -> None:
        self._background.start(batch_id, self._run(batch_id), caller=caller, data=data)

    async def _run(self, batch_id: str) -> None:
        async with self._turn:
            at_once = self._config.max_concurrent_requests_per_batch
            work = Work(
                batch_id,
                records=self._records,
                outcomes=self._outcomes,
                files=self._files,
                methods=self._methods,
                at_once=at_once,
            )
            await work.run()


def _shown(batch: Data) -> Batch:
    return Batch.model_validate({name: value for name, value in batch.items() if name not in _OURS})
