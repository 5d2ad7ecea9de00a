"""From what a search found to what a model reads."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from stack_core.apis._interleaved import ImageItem, Interleaved, TextItem
from stack_core.apis.tool_runtime import RAGQueryResult
from stack_core.apis.vector_io import Chunk
from stack_core.errors import InvalidRequest
from stack_core.text.chunking import tokens

_NAMES = re.compile(r"\{(index|chunk\.content|metadata)\}")


def text_of(content: Interleaved) -> str:
    """The texts of a content, joined by a space."""
    return " ".join(texts_of(content))


def texts_of(content: Interleaved) -> list[str]:
    """The texts of a content.

    Raises:
        InvalidRequest: it has an image, which cannot be searched.
    """
    if isinstance(content, str):
        return [content]
    items = content if isinstance(content, list) else [content]
    if any(isinstance(item, ImageItem) for item in items):
        raise InvalidRequest("content has an image: documents are searched by text", "describe the image in words")
    return [item.text for item in items if isinstance(item, TextItem)]


def check_template(template: str) -> None:
    """Raises:
    InvalidRequest: a template of one chunk lacks the names that it must have."""
    missing = [name for name in ("{index}", "{chunk.content}") if name not in template]
    if missing:
        raise InvalidRequest(
            f"query_config.chunk_template lacks {' and '.join(missing)}", "it may also have {metadata}"
        )


def told(found: Sequence[tuple[float, str, Chunk]], query: str, template: str, most_tokens: int) -> RAGQueryResult:
    """What was found, best first, as long as it fits.

    Args:
        found: score, store, chunk.
    """
    shown: list[TextItem] = []
    used = 0
    for index, (_, store, chunk) in enumerate(found, 1):
        passage = _passage(index, store, chunk, template)
        used += tokens(passage)
        if used > most_tokens:
            break
        shown.append(TextItem(text=passage))
    kept = found[: len(shown)]
    metadata = {
        "document_ids": [document_of(chunk) for _, _, chunk in kept],
        "chunks": [text_of(chunk.content) for _, _, chunk in kept],
        "scores": [score for score, _, _ in kept],
        "vector_db_ids": [store for _, store, _ in kept],
    }
    if not shown:
        return RAGQueryResult(content=None, metadata=metadata)
    head = f"knowledge_search tool found {len(shown)} chunks:\nBEGIN of knowledge_search tool results.\n"
    foot = (
        f'The above results were retrieved to help answer the user\'s query: "{query}". Use them as supporting '
        "information only in answering this query.\n"
    )
    ends = [TextItem(text="END of knowledge_search tool results.\n"), TextItem(text=foot)]
    return RAGQueryResult(content=[TextItem(text=head), *shown, *ends], metadata=metadata)


def document_of(chunk: Chunk) -> str | None:
    """The document that a chunk is of, as its inserter called it."""
    known = chunk.chunk_metadata.document_id if chunk.chunk_metadata is not None else None
    return chunk.metadata.get("document_id") or known


def _passage(index: int, store: str, chunk: Chunk, template: str) -> str:
    facts: dict[str, Any] = {**chunk.metadata, "vector_store_id": store}
    names = {
        "index": str(index),
        "chunk.content": text_of(chunk.content),
        "metadata": json.dumps(facts, default=str, ensure_ascii=False),
    }
    # In one pass: what a document says is never taken for a name.
    return _NAMES.sub(lambda name: names[name[1]], template)
