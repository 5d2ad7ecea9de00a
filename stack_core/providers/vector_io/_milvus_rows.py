"""Rows in Milvus, in this process (Milvus Lite) or on a server: its client is the same for both.

Milvus bounds a text to 65,535 bytes, so a row goes as one part or more: the first has the fields, the others further
pieces of the book. Words are a sparse vector that finds the rows; their order is made here, by BM25.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stack_core.providers.vector_io._batch import Array
from stack_core.providers.vector_io._narrow import Narrow, OneOf, Within
from stack_core.providers.vector_io._ranking import bm25, words_of
from stack_core.providers.vector_io._rows import Found, Row, Rows

if TYPE_CHECKING:
    from pymilvus import CollectionSchema, MilvusClient  # type: ignore[import-untyped]  # it has no types

PIECE, MOST_TOKENS = 60_000, 4_096
"""Characters of a book in one part, and values of an array: Milvus' bounds."""
MOST_HITS = 16_384
"""Of one search in Milvus. More than so many with a word are ranked only in part."""
KEYS_A_CALL = 1_000
NO_WORD = 0
"""A place of the sparse vectors that no word has: Milvus wants a vector to have something."""
_FIRST = "part == 0"


class MilvusRows(Rows):
    """The collections of a Milvus."""

    def __init__(self, client: MilvusClient, consistency: str) -> None:
        self._client, self._consistency = client, consistency

    def tables(self) -> list[str]:
        """The names of all collections."""
        return list(self._client.list_collections())

    def dimension(self, table: str) -> int | None:
        """Of the vectors of a collection."""
        if not self._client.has_collection(table):
            return None
        self._load(table)
        fields = self._client.describe_collection(table)["fields"]
        return next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")

    def make(self, table: str, dimension: int) -> None:
        """Make a collection."""
        self._client.create_collection(table, schema=_schema(dimension), consistency_level=self._consistency)
        for field, kind, metric in (("vector", "FLAT", "COSINE"), ("words", "SPARSE_INVERTED_INDEX", "IP")):
            index = self._client.prepare_index_params()
            index.add_index(field, index_type=kind, metric_type=metric)
            self._client.create_index(table, index, sync=False)
        self._load(table)

    def drop(self, table: str) -> None:
        """Forget a collection."""
        self._client.drop_collection(table)

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows or replace them. Parts that a row has no more are never read again, and go with the row."""
        for some in _groups(rows):
            self._client.upsert(table, [part for row in some for part in _parts(row)])

    def delete(self, table: str, keys: Sequence[str]) -> None:
        """Forget rows."""
        for start in range(0, len(keys), KEYS_A_CALL):
            self._client.delete(table, filter=f"owner in {json.dumps(list(keys[start : start + KEYS_A_CALL]))}")

    def near(self, table: str, unit: Array, most: int, narrow: Narrow | None) -> Found:
        """The nearest rows."""
        return self._search(table, unit.tolist(), "vector", most, narrow)

    def worded(self, table: str, words: Sequence[str], most: int, narrow: Narrow | None) -> Found:
        """Every row with one of the words, the best first."""
        query = dict.fromkeys(map(_number, words), 1.0)
        books = [book for book, _ in self._search(table, query, "words", MOST_HITS, None)]
        many = self._client.query(table, filter=_FIRST, output_fields=["count(*)"])[0]["count(*)"]
        scores = bm25(words, [json.loads(book)[3] for book in books], many)
        return sorted(((b, s) for b, s in zip(books, scores, strict=True) if s > 0), key=lambda pair: -pair[1])

    def read(self, table: str, keys: Sequence[str] | None, narrow: Narrow | None) -> list[tuple[str, Sequence[float]]]:
        """Books with their unit vectors."""
        if keys is None:
            found = list(self._all(table, _where(narrow)))
        else:
            found = list(self._by_key(table, [f"{key}/0" for key in keys]))
        return list(zip(self._whole(table, found), (row["vector"] for row in found), strict=True))

    def close(self) -> None:
        """Let the client go."""
        self._client.close()

    def _load(self, table: str) -> None:
        """Have a collection in memory, where it is not after a restart of Milvus."""
        from pymilvus.client.types import LoadState  # type: ignore[import-untyped]  # it has no types

        if self._client.get_load_state(table)["state"] != LoadState.Loaded:
            self._client.load_collection(table)

    def _search(self, table: str, query: Any, field: str, most: int, narrow: Narrow | None) -> Found:
        found = self._client.search(
            table,
            data=[query],
            anns_field=field,
            limit=min(most, MOST_HITS),
            filter=_where(narrow),
            output_fields=["owner", "parts", "book"],
        )[0]
        books = self._whole(table, [hit["entity"] for hit in found])
        return list(zip(books, (float(hit["distance"]) for hit in found), strict=True))

    def _whole(self, table: str, rows: Sequence[Any]) -> list[str]:
        """The books of rows, with their further pieces."""
        wanted = [f"{row['owner']}/{part}" for row in rows for part in range(1, row["parts"])]
        more = {row["key"]: row["book"] for row in self._by_key(table, wanted)}
        return [
            row["book"] + "".join(more[f"{row['owner']}/{part}"] for part in range(1, row["parts"])) for row in rows
        ]

    def _by_key(self, table: str, keys: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(keys), KEYS_A_CALL):
            yield from self._client.query(
                table,
                filter=f"key in {json.dumps(list(keys[start : start + KEYS_A_CALL]))}",
                output_fields=["key", "owner", "parts", "book", "vector"],
            )

    def _all(self, table: str, where: str) -> Iterator[Any]:
        pages = self._client.query_iterator(
            table, batch_size=KEYS_A_CALL, filter=where, output_fields=["key", "owner", "parts", "book", "vector"]
        )
        try:
            while page := pages.next():
                yield from page
        finally:
            pages.close()


def _schema(dimension: int) -> CollectionSchema:
    from pymilvus import DataType, MilvusClient

    made = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    made.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
    made.add_field("owner", DataType.VARCHAR, max_length=64)
    made.add_field("part", DataType.INT64)
    made.add_field("parts", DataType.INT64)
    made.add_field("book", DataType.VARCHAR, max_length=65_535)
    made.add_field("tokens", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_TOKENS, max_length=80)
    made.add_field("numbers", DataType.JSON)
    made.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    made.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    return made


def _parts(row: Row) -> Iterator[dict[str, Any]]:
    pieces = [row.book[start : start + PIECE] for start in range(0, len(row.book), PIECE)]
    for part, piece in enumerate(pieces):
        first = row.fields if part == 0 else {}
        words = {_number(word) for word in words_of(row.text)} if part == 0 else set()
        yield {
            "key": f"{row.key}/{part}",
            "owner": row.key,
            "part": part,
            "parts": len(pieces),
            "book": piece,
            "tokens": [f"{name}={value}" for name, value in first.items() if isinstance(value, str)],
            "numbers": {name: value for name, value in first.items() if not isinstance(value, str)},
            "vector": row.unit.tolist(),
            "words": {NO_WORD: 1e-6, **dict.fromkeys(words, 1.0)},
        }


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows by the call, each of some MiB: a server takes 64 MiB."""
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == KEYS_A_CALL or sum(len(one.book) for one in group) > 4 << 20:
            yield group
            group = []
    if group:
        yield group


def _where(narrow: Narrow | None) -> str:
    return _FIRST if narrow is None else f"{_FIRST} and {_condition(narrow)}"


def _condition(narrow: Narrow) -> str:
    if isinstance(narrow, OneOf):
        tokens = json.dumps([f"{narrow.field}={value}" for value in narrow.values])
        return f"({'not ' if narrow.negated else ''}array_contains_any(tokens, {tokens}))"
    if isinstance(narrow, Within):
        sign, bound = ("<=", narrow.high) if narrow.low is None else (">=", narrow.low)
        return f'(numbers["{narrow.field}"] {sign} {bound!r})'
    return f"({f' {narrow.op} '.join(map(_condition, narrow.parts))})"


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % (2**32 - 2) + 1


def faults() -> tuple[type[Exception], ...]:
    """What Milvus' client raises where the database is at fault."""
    import grpc  # type: ignore[import-untyped]  # its types are a package of their own
    from pymilvus.exceptions import MilvusException  # type: ignore[import-untyped]  # it has no types

    return (MilvusException, grpc.RpcError, OSError)
