"""Many requests in one file, carried out in the background (OpenAI's Batch API).

Shapes: OpenAI 2.3.0, with the `idempotency_key` of OGX 0.8.0.
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._metadata import Metadata
from stack_core.apis._shapes import Listing, Open, PageQuery, Strict

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]


class OutputExpiry(Strict):
    """When the files that a batch writes expire."""

    anchor: Literal["created_at"] = Field("created_at", description="From the making of the file, not of the batch.")
    seconds: int = Field(ge=3600, le=2592000, description="One hour to 30 days.")


class CreateBatchRequest(Strict):
    """Arguments of `create_batch`. Whether `endpoint` and `completion_window` are served is checked where it runs."""

    input_file_id: str = Field(min_length=1, description="A JSONL file of requests, uploaded with purpose batch.")
    endpoint: str = Field(description="Where each request goes, such as /v1/chat/completions.")
    completion_window: str = Field("24h", description="The time within which the batch ends, or expires.")
    metadata: Metadata | None = None
    output_expires_after: OutputExpiry | None = None
    idempotency_key: str | None = Field(
        None, description="A second call with this key and the same request gives the same batch (OGX 0.8.0)."
    )


class BatchError(Open):
    """One fault of the input file; `line` counts from 1."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    line: int | None = None


class BatchErrors(Open):
    """Why a batch failed before its requests ran."""

    object: str = "list"
    data: list[BatchError] = []


class RequestCounts(Open):
    """How many requests there are, were answered, and failed."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchInputTokens(Open):
    """Of the input tokens, how many were cached."""

    cached_tokens: int = 0


class BatchOutputTokens(Open):
    """Of the output tokens, how many were reasoning."""

    reasoning_tokens: int = 0


class BatchUsage(Open):
    """Token counts of all requests of a batch."""

    input_tokens: int = 0
    input_tokens_details: BatchInputTokens = Field(default_factory=BatchInputTokens)
    output_tokens: int = 0
    output_tokens_details: BatchOutputTokens = Field(default_factory=BatchOutputTokens)
    total_tokens: int = 0


class Batch(Open):
    """A batch and how far it is. All times are Unix seconds."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None = Field(None, description="The model of the requests, where all name the same.")
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: str
    status: Status
    output_file_id: str | None = Field(None, description="JSONL of the answers.")
    error_file_id: str | None = Field(None, description="JSONL of the requests that failed.")
    created_at: int
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts | None = None
    usage: BatchUsage | None = None
    metadata: dict[str, str] | None = None


class BatchList(Listing[Batch]):
    """A page of batches."""


class Batches(Protocol):
    """Many requests in one file, carried out in the background (OpenAI's Batch API)."""

    @route("POST", "/batches", sdk="batches.create")
    async def create_batch(self, request: CreateBatchRequest) -> Batch:
        """Start a batch: every line of the input file is one request to `endpoint`."""
        ...

    @route("GET", "/batches", sdk="batches.list")
    async def list_batches(self, request: PageQuery) -> BatchList:
        """A page of batches, newest first."""
        ...

    @route("GET", "/batches/{batch_id}", sdk="batches.retrieve")
    async def get_batch(self, batch_id: str) -> Batch:
        """One batch and how far it is."""
        ...

    @route("POST", "/batches/{batch_id}/cancel", sdk="batches.cancel")
    async def cancel_batch(self, batch_id: str) -> Batch:
        """Stop a batch: what is running ends, what was answered is kept, the rest is not started."""
        ...
