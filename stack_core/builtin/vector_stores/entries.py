"""Chunks as entries of an index and back; filters as an index takes them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from stack_core.apis._filters import ComparisonFilter, CompoundFilter
from stack_core.apis._interleaved import Interleaved, TextItem
from stack_core.apis.file_processors import FileChunk
from stack_core.apis.vector_io import Chunk, ChunkMetadata, Combination, Comparison, Entry, Filter, Hit
from stack_core.apis.vector_stores import SearchPage, StorePiece
from stack_core.builtin.vector_stores.books import StoreFile
from stack_core.errors import InvalidRequest

OWN = "_stack_"
"""Begins the attributes that the stack itself gives an entry; a caller's may not."""
TIMED, ENDS = f"{OWN}timed", f"{OWN}ends"
LONGEST = 512
"""Characters of a text among the attributes of what is found, as at OpenAI."""


def of_file(
    file: StoreFile, chunks: Sequence[FileChunk], vectors: Sequence[Sequence[float]], first: int
) -> list[Entry]:
    """The entries of a file's chunks, the first being its piece number `first`."""
    return [
        Entry(
            id=f"{file.file_id}_{number}",
            text=chunk.content,
            vector=vector,
            attributes=file.attributes or {},
            payload=_text(
                {
                    "file_id": file.file_id,
                    "filename": file.filename,
                    "metadata": chunk.metadata,
                    "chunk_metadata": {
                        **chunk.chunk_metadata.model_dump(exclude_none=True),
                        "chunk_id": f"{file.file_id}_{number}",
                    },
                }
            ),
        )
        for number, (chunk, vector) in enumerate(zip(chunks, vectors, strict=True), first)
    ]


def of_chunk(chunk: Chunk, vector: Sequence[float], ends: float | None) -> Entry:
    """The entry of a chunk that was inserted; it ends at `ends` (Unix time), where that is given."""
    metadata = chunk.metadata
    attributes = {name: value for name, value in metadata.items() if _plain(value)}
    if any(name.startswith(OWN) for name in attributes):
        raise InvalidRequest(f"metadata: names that begin with {OWN} are the stack's own", "choose another name")
    about = chunk.chunk_metadata
    payload: dict[str, Any] = {"metadata": metadata} if metadata else {}
    if about is not None:
        payload["chunk_metadata"] = about.model_dump(exclude_none=True)
        if about.document_id is not None:
            attributes.setdefault("document_id", about.document_id)
    text = chunk.content if isinstance(chunk.content, str) else text_of(chunk.content)
    if not isinstance(chunk.content, str):
        payload["content"] = chunk.content
    if ends is not None:
        attributes |= {TIMED: True, ENDS: ends}
    return Entry(id=_chunk_id(chunk, text), text=text, vector=vector, attributes=attributes, payload=_text(payload))


def chunk_of(hit: Hit) -> Chunk:
    """A found entry as vector IO gives it. A file's piece has its file's id, name and attributes in its metadata."""
    kept = _read(hit.payload)
    metadata = dict(kept.get("metadata") or {})
    if "file_id" in kept:
        of_file = {"file_id": kept["file_id"], "document_id": kept["file_id"], "filename": kept["filename"]}
        metadata = {**metadata, **of_file, **own_attributes(hit.attributes)}
    about = {"chunk_id": hit.id, **(kept.get("chunk_metadata") or {})}
    return Chunk(
        content=kept.get("content", hit.text),
        metadata=metadata,
        stored_chunk_id=hit.id,
        chunk_id=hit.id,
        chunk_metadata=ChunkMetadata(**about),
    )


def page_of(queries: Sequence[str], found: Iterable[tuple[Hit, float]]) -> SearchPage:
    """Found entries with their scores as a vector store's search gives them. All are checked at once, which takes half
    the time that building each by itself does."""
    rows = [_result(hit, score) for hit, score in found]
    return SearchPage.model_validate({"search_query": queries, "data": rows})


def _result(hit: Hit, score: float) -> dict[str, Any]:
    """A chunk of no file has its document's id and source."""
    kept = _read(hit.payload)
    file_id, filename = kept.get("file_id"), kept.get("filename")
    if not (file_id and filename):
        about = {**(kept.get("metadata") or {}), **(kept.get("chunk_metadata") or {})}
        file_id = file_id or about.get("document_id") or hit.id
        filename = filename or about.get("filename") or about.get("source") or ""
    return {
        "file_id": str(file_id),
        "filename": str(filename),
        "score": score,
        "attributes": {name: _shown(value) for name, value in hit.attributes.items() if not name.startswith(OWN)},
        "content": [{"text": hit.text}],
    }


def _shown(value: Any) -> Any:
    """A chunk's metadata may be longer texts than OpenAI's attributes are."""
    return value[:LONGEST] if isinstance(value, str) else value


def piece_of(entry: Entry, *, embedding: bool, metadata: bool) -> StorePiece:
    """A piece of a file as its content shows it."""
    kept = _read(entry.payload) if metadata else {}
    return StorePiece(
        text=entry.text,
        embedding=[float(number) for number in entry.vector] if embedding else None,
        metadata=kept.get("metadata"),
        chunk_metadata=kept.get("chunk_metadata"),
    )


def own_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller gave, without what the stack added."""
    return {name: value for name, value in attributes.items() if not name.startswith(OWN)}


def checked_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Attributes of a file.

    Raises:
        InvalidRequest: a name is the stack's own, or a number is not finite.
    """
    for name, value in (attributes or {}).items():
        if name.startswith(OWN):
            raise InvalidRequest(f"attributes.{name}: names that begin with {OWN} are the stack's own")
        if not _plain(value):
            raise InvalidRequest(f"attributes.{name}: {value} is not a finite number")
    return None if attributes is None else dict(attributes)


def text_of(content: Interleaved) -> str:
    """The text of a content; its images say nothing here."""
    if isinstance(content, str):
        return content
    items = content if isinstance(content, list) else [content]
    return "\n".join(item.text for item in items if isinstance(item, TextItem))


def condition(given: ComparisonFilter | CompoundFilter | None, *, timed: bool) -> Filter | None:
    """A filter as an index takes it; in a store with `timed` chunks those that have ended are left out."""
    where = None if given is None else _condition(given)
    if not timed:
        return where
    lives = Combination("or", (Comparison("ne", TIMED, True), Comparison("gt", ENDS, time.time())))
    return lives if where is None else Combination("and", (where, lives))


def ended() -> Filter:
    """The chunks that have ended."""
    return Combination("and", (Comparison("eq", TIMED, True), Comparison("lte", ENDS, time.time())))


def _condition(given: ComparisonFilter | CompoundFilter) -> Filter:
    if isinstance(given, CompoundFilter):
        return Combination(given.type, tuple(_condition(one) for one in given.filters))
    return Comparison(given.type, given.key, given.value)


def _plain(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _chunk_id(chunk: Chunk, text: str) -> str:
    """The id a chunk brings; else one that the same text of the same document gets each time."""
    about = chunk.chunk_metadata
    given = chunk.stored_chunk_id or chunk.chunk_id or (about and about.chunk_id)
    if given:
        return given
    document = (about and about.document_id) or chunk.metadata.get("document_id") or ""
    window = (about and about.chunk_window) or ""
    return blake2b(f"{document}\0{window}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _text(payload: Mapping[str, Any]) -> str:
    try:
        return to_json(payload).decode() if payload else ""
    except PydanticSerializationError as error:
        raise InvalidRequest(f"metadata: it cannot be written as JSON: {error}") from error


def _read(payload: str) -> dict[str, Any]:
    found: dict[str, Any] = from_json(payload) if payload else {}
    return found


def distinct(entries: Iterable[Entry]) -> list[Entry]:
    """Entries with different ids, the last of each."""
    return list({entry.id: entry for entry in entries}.values())
