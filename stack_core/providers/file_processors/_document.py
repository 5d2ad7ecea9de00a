"""What a reader makes of a file, and how it becomes the answer of a call."""

from __future__ import annotations

import time
import uuid
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from stack_core.apis._chunking import Chunking, StaticChunking, StaticSizes
from stack_core.apis.file_processors import FileChunk, FileChunkMetadata, ProcessedFile
from stack_core.errors import InvalidRequest
from stack_core.text.chunking import Piece, chunk, tokens

TOKENIZER = "estimate"
"""What the counts of tokens are by: see `stack_core.text.chunking`."""
BETWEEN = "\n\n"


class Section(NamedTuple):
    """A part of a file's text; `page` counts from 1 where the format has pages."""

    text: str
    page: int | None = None


@dataclass(frozen=True)
class Document:
    """A file's text. `method` says what read it, `facts` what the file says of itself (title, author, …)."""

    sections: Sequence[Section]
    method: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    pages: int | None = None


class About(NamedTuple):
    """Which file it was."""

    name: str
    file_id: str | None = None


def answer(
    document: Document, about: About, chunking: Chunking | None, otherwise: StaticSizes
) -> tuple[list[FileChunk], dict[str, Any]]:
    """The chunks of a document, and what is said of it. Without `chunking` all is one chunk.

    Args:
        otherwise: the sizes where the caller leaves them to us.

    Raises:
        InvalidRequest: there is no text in it.
    """
    sections = [Section(_sendable(s.text).strip(), s.page) for s in document.sections if s.text.strip()]
    if not sections:
        raise InvalidRequest(
            f"{about.name} has no text", "a scan needs a processor that reads pictures, such as docling"
        )
    starts = [0, *accumulate(len(section.text) + len(BETWEEN) for section in sections)]
    text = BETWEEN.join(section.text for section in sections)
    sizes = chunking.static if isinstance(chunking, StaticChunking) else otherwise
    pieces = (
        [Piece(text, 0, len(text))]
        if chunking is None
        else chunk(text, sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens)
    )
    document_id = about.file_id or f"doc-{uuid.uuid4().hex}"
    chunks = [
        _chunk(piece, sections[bisect_right(starts, piece.start) - 1].page, document_id, about) for piece in pieces
    ]
    told = {"extraction_method": document.method, "characters": len(text), **document.facts}
    return chunks, told if document.pages is None else {**told, "page_count": document.pages}


def processed(chunks: list[FileChunk], told: Mapping[str, Any], processor: str, seconds: float) -> ProcessedFile:
    """The whole answer."""
    return ProcessedFile(
        chunks=chunks, metadata={"processor": processor, "processing_time_ms": round(seconds * 1000), **told}
    )


def _chunk(piece: Piece, page: int | None, document_id: str, about: About) -> FileChunk:
    """One chunk. The same text at the same place of the same document always has the same id."""
    chunk_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{document_id}:{piece.start}:{piece.text}"))
    metadata: dict[str, Any] = {"filename": about.name}
    if about.file_id:
        metadata["file_id"] = about.file_id
    if page is not None:
        metadata["page"] = page
    now = int(time.time())
    return FileChunk(
        content=piece.text,
        chunk_id=chunk_id,
        metadata=metadata,
        chunk_metadata=FileChunkMetadata(
            chunk_id=chunk_id,
            document_id=document_id,
            source=about.name,
            created_timestamp=now,
            updated_timestamp=now,
            chunk_window=f"{piece.start}-{piece.end}",
            chunk_tokenizer=TOKENIZER,
            content_token_count=tokens(piece.text),
        ),
    )


def _sendable(text: str) -> str:
    """Without halves of surrogate pairs, which damaged files hold and which no JSON can carry, and without NUL, which
    PostgreSQL does not store."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
