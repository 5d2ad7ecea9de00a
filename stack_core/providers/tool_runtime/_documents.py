"""Documents of the RAG tool on their way into a vector store: kept as files, and indexed there."""

from __future__ import annotations

import asyncio
import base64
import binascii
import mimetypes
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import ValidationError

from stack_core.apis._content import Upload
from stack_core.apis._interleaved import URL
from stack_core.apis.files import Files, FileUpload
from stack_core.apis.tool_runtime import InsertDocumentsRequest, RAGDocument
from stack_core.apis.vector_stores import AttachFileRequest, VectorStores
from stack_core.errors import InvalidRequest, ProviderError, StackError, Unsupported
from stack_core.providers.tool_runtime._passages import texts_of

LOOK_AGAIN = 0.5
"""Seconds between two looks at a file that takes long to index."""
AT_ONCE = 4
"""Documents that are indexed at the same time."""


class Inserting:
    """Puts documents into stores."""

    def __init__(self, files: Files, stores: VectorStores) -> None:
        self._files, self._stores = files, stores

    async def insert(self, request: InsertDocumentsRequest) -> None:
        """Keep and index all documents; all are read before the first is kept.

        Raises:
            UnknownId: there is no such store.
            InvalidRequest: a document cannot be read; names it.
            Unsupported: a document is at an address that would have to be fetched.
        """
        await self._stores.get_vector_store(request.vector_db_id)
        ready = [(_upload(document), _attaching(document, request)) for document in request.documents]
        room = asyncio.Semaphore(AT_ONCE)

        async def one(upload: Upload, attaching: dict[str, Any]) -> None:
            async with room:
                await self._index(request.vector_db_id, upload, attaching)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_outcome(one(*pair))) for pair in ready]
        for task in tasks:
            if (error := task.result()) is not None:
                raise error

    async def _index(self, store: str, upload: Upload, attaching: dict[str, Any]) -> None:
        kept = await self._files.create_file(FileUpload(file=upload, purpose="assistants"))
        row = await self._stores.attach_file(store, AttachFileRequest(**{**attaching, "file_id": kept.id}))
        while row.status == "in_progress":
            await asyncio.sleep(LOOK_AGAIN)
            row = await self._stores.get_file(store, kept.id)
        if row.status != "completed":
            said = row.last_error.message if row.last_error is not None else row.status
            raise ProviderError(f"the document {attaching['attributes']['document_id']!r} was not indexed: {said}")


async def _outcome(work: Any) -> StackError | None:
    """What went wrong with one document, so that the others go on."""
    try:
        await work
    except StackError as error:
        return error
    return None


def _attaching(document: RAGDocument, request: InsertDocumentsRequest) -> dict[str, Any]:
    """How a document is indexed.

    Raises:
        InvalidRequest: its metadata cannot be attributes of a file, or its pieces are of no size that can be.
    """
    size = request.chunk_size_in_tokens
    sizes = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": size // 4}
    attaching: dict[str, Any] = {
        "attributes": {**document.metadata, "document_id": document.document_id},
        "chunking_strategy": {"type": "static", "static": sizes},
    }
    try:
        AttachFileRequest(file_id="x", **attaching)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        named = {"attributes": "metadata", "chunking_strategy": "chunk_size_in_tokens"}
        path = ".".join(map(str, (named.get(str(first["loc"][0]), ""), *first["loc"][1:2])))
        raise InvalidRequest(f"document {document.document_id!r}: {path}: {first['msg']}") from error
    return attaching


def _upload(document: RAGDocument) -> Upload:
    content, media_type = document.content, document.mime_type
    if isinstance(content, URL) or (isinstance(content, str) and content.startswith(("http://", "https://", "data:"))):
        address = content.uri if isinstance(content, URL) else content
        body, said = _decoded(address, document.document_id)
        media_type = media_type or said
    else:
        body = "\n".join(texts_of(content)).encode()
    suffix = mimetypes.guess_extension(media_type or "text/plain") or ".txt"
    name = document.document_id.replace("/", "_")
    return Upload.of((name if name.endswith(suffix) else name + suffix, body, media_type or "text/plain"))


def _decoded(address: str, document: str) -> tuple[bytes, str | None]:
    """The content of a `data:` URL and its media type."""
    if not address.startswith("data:"):
        raise Unsupported(
            f"document {document!r} is at an address: this stack fetches none",
            "give its content, or a data: URL, or upload it with files.create and attach it to the store",
        )
    head, comma, data = address.removeprefix("data:").partition(",")
    media_type = head.partition(";")[0] or None
    try:
        if not comma:
            raise ValueError("it has no comma")
        body = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"document {document!r}: its data: URL cannot be read: {error}") from error
    return body, media_type
