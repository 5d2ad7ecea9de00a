"""Rows in Chroma, in this process or on a server: its client is the same for both.

A row's book and fields are its metadata, and its document is the different words of its text, each between blanks, so
that Chroma finds whole words. Chroma does not rank texts: that is done here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stack_core.providers.vector_io._batch import Array
from stack_core.providers.vector_io._narrow import Narrow, OneOf, Within
from stack_core.providers.vector_io._ranking import bm25, words_of
from stack_core.providers.vector_io._rows import Found, Row, Rows

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

BOOK, DIMENSION = "book", "dimension"
KEYS_A_CALL = 1_000
"""SQLite, which is below Chroma, has a bound on the parameters of a statement."""
_INDEX = {"space": "cosine", "ef_construction": 200, "ef_search": 1_000, "max_neighbors": 32}
"""How the graph of neighbours is made and searched: more thoroughly than by default, so that it misses next to none."""


class ChromaRows(Rows):
    """The collections of a Chroma."""

    def __init__(self, client: ClientAPI) -> None:
        self._client = client
        self._most = client.get_max_batch_size()

    def tables(self) -> list[str]:
        """The names of all collections."""
        return [found.name for found in self._client.list_collections()]

    def dimension(self, table: str) -> int | None:
        """Of the vectors of a collection."""
        from chromadb.errors import NotFoundError

        try:
            return int((self._of(table).metadata or {})[DIMENSION])
        except NotFoundError:
            return None

    def make(self, table: str, dimension: int) -> None:
        """Make a collection."""
        configuration: Any = {"hnsw": _INDEX}
        self._client.get_or_create_collection(
            table, metadata={DIMENSION: dimension}, configuration=configuration, embedding_function=None
        )

    def drop(self, table: str) -> None:
        """Forget a collection."""
        self._client.delete_collection(table)

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows, or replace them, with all that they had before."""
        collection = self._of(table)
        for part in _parts(rows, self._most):
            # an upsert would keep the fields that a row has no more
            old: dict[str, Any] = dict(self._metadata(collection, [row.key for row in part]))
            collection.upsert(
                ids=[row.key for row in part],
                embeddings=[row.unit for row in part],
                documents=[_document(row.text) for row in part],
                metadatas=[{**dict.fromkeys(old.get(row.key, ())), BOOK: row.book, **row.fields} for row in part],
            )

    def delete(self, table: str, keys: Sequence[str]) -> None:
        """Forget rows."""
        collection = self._of(table)
        for part in _parts(keys, KEYS_A_CALL):
            collection.delete(ids=list(part))

    def near(self, table: str, unit: Array, most: int, narrow: Narrow | None) -> Found:
        """The nearest rows."""
        found = self._of(table).query(
            query_embeddings=[unit.tolist()], n_results=most, where=_where(narrow), include=["metadatas", "distances"]
        )
        assert found["metadatas"] is not None and found["distances"] is not None
        return [
            (str(book[BOOK]), 1.0 - float(distance))
            for book, distance in zip(found["metadatas"][0], found["distances"][0], strict=True)
        ]

    def worded(self, table: str, words: Sequence[str], most: int, narrow: Narrow | None) -> Found:
        """Every row with one of the words, the best first."""
        collection = self._of(table)
        contains: list[Any] = [{"$contains": f" {word} "} for word in words]
        found = collection.get(
            where_document={"$or": contains} if len(contains) > 1 else contains[0], include=["metadatas"]
        )
        books = [str(one[BOOK]) for one in found["metadatas"] or []]
        scores = bm25(words, [json.loads(book)[3] for book in books], collection.count())
        return sorted(((b, s) for b, s in zip(books, scores, strict=True) if s > 0), key=lambda pair: -pair[1])

    def read(self, table: str, keys: Sequence[str] | None, narrow: Narrow | None) -> list[tuple[str, Sequence[float]]]:
        """Books with their unit vectors."""
        collection = self._of(table)
        out: list[tuple[str, Sequence[float]]] = []
        for part in [None] if keys is None else _parts(keys, KEYS_A_CALL):
            found = collection.get(
                ids=None if part is None else list(part), where=_where(narrow), include=["metadatas", "embeddings"]
            )
            assert found["metadatas"] is not None and found["embeddings"] is not None
            units = zip(found["metadatas"], found["embeddings"], strict=True)
            out += [(str(book[BOOK]), unit) for book, unit in units]
        return out

    def close(self) -> None:
        """Let the client go."""
        closing: Any = self._client  # the type of what both kinds are has no close
        closing.close()

    def _of(self, table: str) -> Collection:
        return self._client.get_collection(table, embedding_function=None)

    def _metadata(self, collection: Collection, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
        for part in _parts(keys, KEYS_A_CALL):
            found = collection.get(ids=list(part), include=["metadatas"])
            yield from zip(found["ids"], found["metadatas"] or [], strict=True)


def _where(narrow: Narrow | None) -> Any:
    if narrow is None:
        return None
    if isinstance(narrow, OneOf):
        return {narrow.field: {"$nin" if narrow.negated else "$in": list(narrow.values)}}
    if isinstance(narrow, Within):
        return {narrow.field: {"$gte": narrow.low} if narrow.low is not None else {"$lte": narrow.high}}
    return {f"${narrow.op}": [_where(part) for part in narrow.parts]}


def _document(text: str) -> str:
    return f" {' '.join(dict.fromkeys(words_of(text)))} "


def _parts(rows: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def is_fault(error: Exception) -> bool:
    """Whether the database, or the way to it, is at fault."""
    from chromadb.errors import ChromaError

    # Chroma's client lets the errors of the HTTP client in it through
    of_http = any(base.__module__.startswith("httpx") for base in type(error).__mro__)
    return of_http or isinstance(error, ChromaError | OSError)
