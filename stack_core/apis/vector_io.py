"""Vector IO: chunks with their vectors, put into an index and found again by nearness or by words.

What callers use is `VectorIO`; it and `vector_stores` are answered by the stack itself, which embeds, fuses and keeps
the books. A provider of this API implements `VectorIndex` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(slots=True)
class Entry:
    """One chunk in an index. `attributes` are the plain values that filters look at (text, number, truth); `payload`
    is JSON text that comes back as it was given."""

    id: str
    text: str
    vector: Sequence[float]
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    payload: str = ""


@dataclass(slots=True)
class Hit:
    """An entry that was found, without its vector. A greater score is better: cosine similarity (-1 to 1) for
    `nearest`, BM25 or the like (0 and more) for `matching`."""

    id: str
    text: str
    score: float
    attributes: Mapping[str, Any]
    payload: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition on one attribute. `in` and `nin` take a list."""

    op: str
    """eq, ne, gt, gte, lt, lte, in or nin (OpenAI's comparison filters)."""
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions joined by `and` or `or`."""

    op: str
    filters: tuple[Comparison | Combination, ...]


Filter = Comparison | Combination


class VectorIndex(Protocol):
    """What a provider of vector IO does: collections of entries, each of one dimension. A write that returned is
    durable, and every later search sees it. An entry without the attribute that a filter names does not match, but
    for `ne` and `nin`."""

    async def create(self, collection: str, dimension: int) -> None:
        """Make a collection; one of the same dimension that is there already is kept.

        Raises:
            Conflict: it is there with another dimension.
        """
        ...

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries; none of this name is no fault."""
        ...

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries, all or none; one of the same id is replaced.

        Raises:
            NotFound: no such collection.
            InvalidRequest: a vector has another length than the collection's.
        """
        ...

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries; ids that are not there are no fault."""
        ...

    async def nearest(
        self, collection: str, vector: Sequence[float], most: int, where: Filter | None = None
    ) -> list[Hit]:
        """The entries nearest to a vector by cosine similarity, best first."""
        ...

    async def matching(self, collection: str, words: str, most: int, where: Filter | None = None) -> list[Hit]:
        """The entries whose text has these words, best first.

        Raises:
            Unsupported: this index cannot search words.
        """
        ...

    async def entries(
        self, collection: str, ids: Sequence[str] | None = None, where: Filter | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries by id or by filter, in the order of their putting, with their vectors."""
        ...


class VectorIO(Protocol):
    """Chunks with their vectors: put in, and the nearest found."""
