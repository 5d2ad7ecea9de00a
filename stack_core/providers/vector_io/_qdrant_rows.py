"""Rows in Qdrant, in this process or on a server: its client is the same for both.

A row's book and fields are a point's payload. Its words are a sparse vector, each word by the number that it hashes to
and with the part of BM25 that the text tells; Qdrant itself weighs the words by how rare they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stack_core.providers.vector_io._batch import Array
from stack_core.providers.vector_io._narrow import Narrow, OneOf, Within
from stack_core.providers.vector_io._ranking import K1, B, words_of
from stack_core.providers.vector_io._rows import Found, Row, Rows

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

VECTOR, WORDS, BOOK = "vector", "words", "book"
PAGE = 1_000
"""Rows of one call."""
USUAL_LENGTH = 256
"""Words of a usual chunk. BM25 wants the mean of all texts, which changes with each."""


class QdrantRows(Rows):
    """The collections of a Qdrant."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client

    def tables(self) -> list[str]:
        """The names of all collections."""
        return [found.name for found in self._client.get_collections().collections]

    def dimension(self, table: str) -> int | None:
        """Of the vectors of a collection."""
        if not self._client.collection_exists(table):
            return None
        vectors: Any = self._client.get_collection(table).config.params.vectors
        return int(vectors[VECTOR].size)

    def make(self, table: str, dimension: int) -> None:
        """Make a collection."""
        from qdrant_client import models

        self._client.create_collection(
            table,
            # of vectors of length one, which Qdrant then keeps as they are, the product is the cosine
            vectors_config={VECTOR: models.VectorParams(size=dimension, distance=models.Distance.DOT)},
            sparse_vectors_config={WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )

    def drop(self, table: str) -> None:
        """Forget a collection."""
        self._client.delete_collection(table)

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows or replace them."""
        from qdrant_client import models

        for part in _parts(rows):
            points = [
                models.PointStruct(
                    id=row.key,
                    vector={VECTOR: row.unit.tolist(), WORDS: _of_text(row.text)},
                    payload={BOOK: row.book, **row.fields},
                )
                for row in part
            ]
            self._client.upsert(table, points, wait=True)

    def delete(self, table: str, keys: Sequence[str]) -> None:
        """Forget rows."""
        from qdrant_client import models

        for part in _parts(keys):
            self._client.delete(table, models.PointIdsList(points=list(part)), wait=True)

    def near(self, table: str, unit: Array, most: int, narrow: Narrow | None) -> Found:
        """The nearest rows."""
        found = self._query(table, unit.tolist(), VECTOR, most, narrow)
        # the last digits of a float32 differ from run to run, with the place of a vector in memory
        return [(book, round(score, 6)) for book, score in found]

    def worded(self, table: str, words: Sequence[str], most: int, narrow: Narrow | None) -> Found:
        """The rows that fit the words best."""
        from qdrant_client import models

        numbers = sorted(set(map(_number, words)))
        query = models.SparseVector(indices=numbers, values=[1.0] * len(numbers))
        return self._query(table, query, WORDS, most, narrow)

    def read(self, table: str, keys: Sequence[str] | None, narrow: Narrow | None) -> list[tuple[str, Sequence[float]]]:
        """Books with their unit vectors."""
        if keys is None:
            return list(self._scrolled(table, None if narrow is None else _filter(narrow)))
        found = [
            self._client.retrieve(table, list(part), with_payload=[BOOK], with_vectors=[VECTOR])
            for part in _parts(keys)
        ]
        return [_pair(point) for part in found for point in part]

    def close(self) -> None:
        """Let the client go."""
        self._client.close()

    def _query(self, table: str, query: Any, using: str, most: int, narrow: Narrow | None) -> Found:
        found = self._client.query_points(
            table,
            query=query,
            using=using,
            limit=most,
            query_filter=None if narrow is None else _filter(narrow),
            with_payload=[BOOK],
        )
        return [(str((point.payload or {})[BOOK]), point.score) for point in found.points]

    def _scrolled(self, table: str, narrow: Any) -> Iterator[tuple[str, Sequence[float]]]:
        after: Any = None
        while True:
            points, after = self._client.scroll(
                table,
                scroll_filter=narrow,
                limit=PAGE,
                offset=after,
                with_payload=[BOOK],
                with_vectors=[VECTOR],
            )
            yield from map(_pair, points)
            if after is None:
                return


def _pair(point: models.Record) -> tuple[str, Sequence[float]]:
    vectors: Any = point.vector
    return str((point.payload or {})[BOOK]), np.asarray(vectors[VECTOR], np.float32).tolist()


def _filter(narrow: Narrow) -> models.Filter:
    from qdrant_client import models

    if isinstance(narrow, OneOf):
        condition = models.FieldCondition(key=narrow.field, match=models.MatchAny(any=list(narrow.values)))
        return models.Filter(must_not=[condition]) if narrow.negated else models.Filter(must=[condition])
    if isinstance(narrow, Within):
        between = models.Range(gte=narrow.low, lte=narrow.high)
        return models.Filter(must=[models.FieldCondition(key=narrow.field, range=between)])
    parts: Any = [_filter(part) for part in narrow.parts]
    return models.Filter(must=parts) if narrow.op == "and" else models.Filter(should=parts)


def _of_text(text: str) -> models.SparseVector:
    from qdrant_client import models

    found = Counter(map(_number, words_of(text)))
    least = K1 * (1 - B + B * found.total() / USUAL_LENGTH)
    return models.SparseVector(indices=list(found), values=[n * (K1 + 1) / (n + least) for n in found.values()])


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest())


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), PAGE):
        yield rows[start : start + PAGE]
