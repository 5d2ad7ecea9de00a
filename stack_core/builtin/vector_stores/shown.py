"""What is written down, as callers see it."""

from __future__ import annotations

from stack_core.apis._chunking import StaticChunking, StaticSizes
from stack_core.apis.vector_io import Chunk
from stack_core.apis.vector_stores import FileBatch, FileStatus, VectorStore, VectorStoreFile
from stack_core.builtin.vector_stores.books import Batch, Store, StoreFile
from stack_core.errors import InvalidRequest


def store(written: Store) -> VectorStore:
    """A vector store. Its metadata gains who keeps it and who embeds, in texts, as OpenAI's metadata are."""
    own = {"provider_id": written.provider_id, "embedding_dimension": str(written.dimension)}
    if written.embedding_model is not None:
        own["embedding_model"] = written.embedding_model
    working = written.file_counts.in_progress > 0
    return VectorStore(
        id=written.id,
        created_at=written.created_at,
        name=written.name,
        description=written.description,
        usage_bytes=written.usage_bytes,
        file_counts=written.file_counts,
        status="expired" if written.expired else "in_progress" if working else "completed",
        expires_after=written.expires_after,
        expires_at=written.expires_at,
        last_active_at=written.last_active_at,
        metadata={**written.metadata, **own},
    )


def file(written: StoreFile) -> VectorStoreFile:
    """A file of a store."""
    sizes = StaticSizes(max_chunk_size_tokens=written.size, chunk_overlap_tokens=written.overlap)
    return VectorStoreFile(
        id=written.file_id,
        created_at=written.created_at,
        vector_store_id=written.store,
        status=written.status,
        last_error=written.last_error,
        usage_bytes=written.usage_bytes,
        chunking_strategy=StaticChunking(static=sizes),
        attributes=written.attributes or {},
    )


def batch(written: Batch) -> FileBatch:
    """A batch. One in which every file failed has failed itself."""
    counts = written.file_counts
    status: FileStatus = "completed"
    if written.cancelled:
        status = "cancelled"
    elif counts.in_progress:
        status = "in_progress"
    elif counts.total and counts.failed == counts.total:
        status = "failed"
    return FileBatch(
        id=written.id,
        created_at=written.created_at,
        vector_store_id=written.store,
        status=status,
        file_counts=counts,
    )


def check_claim(store: Store, chunk: Chunk) -> None:
    """Refuse a chunk that says its vector is of another model or length than the store's.

    Raises:
        InvalidRequest: with both.
    """
    if chunk.embedding_dimension not in (None, store.dimension):
        raise InvalidRequest(
            f"embedding_dimension: the chunk says {chunk.embedding_dimension}, vector store {store.id!r} has "
            f"{store.dimension}"
        )
    claimed, own = chunk.embedding_model, store.embedding_model
    if claimed and own and claimed != own and not _same(claimed, own):
        raise InvalidRequest(
            f"embedding_model: the chunk was embedded by {claimed}, vector store {store.id!r} by {own}"
        )


def _same(one: str, other: str) -> bool:
    """Whether two ids may be of one model: the end of one is the other."""
    return one.endswith(f"/{other}") or other.endswith(f"/{one}")
