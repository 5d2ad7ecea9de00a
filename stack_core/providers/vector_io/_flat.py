"""A collection in memory: a matrix of vectors with the entries beside it.

Rows are only ever added. What was replaced or removed stays as a dead row that searches pass over, until the collection
is made anew out of `batches`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stack_core.apis.vector_io import Entry, Filter, Hit
from stack_core.providers.vector_io._batch import Batch, direction, directions, positive
from stack_core.providers.vector_io._columns import Columns, Mask, grown
from stack_core.providers.vector_io._gate import Gate
from stack_core.providers.vector_io._matrix import FaissMatrix, Matrix, NumpyMatrix
from stack_core.providers.vector_io._words import WordIndex

ROWS_A_BATCH = 256
"""Rows of one batch when a collection is written anew."""
AT_ONCE = 1 << 20
"""Numbers in an index that is searched on the event loop: a tenth of a millisecond, less than a thread costs."""
MATRICES: Mapping[str, Callable[[int], Matrix]] = {"faiss": FaissMatrix, "numpy": NumpyMatrix}


class Flat:
    """Entries of one dimension, searched by one of `MATRICES`. Every method is safe in several threads."""

    def __init__(self, dimension: int, matrix: str) -> None:
        self.dimension = dimension
        self._kind = matrix
        self._matrix = MATRICES[matrix](dimension)
        self._gate = Gate()
        self._words: WordIndex | None = None
        self._making_words = threading.Lock()
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._payloads: list[str] = []
        self._attributes: list[dict[str, Any]] = []
        self._columns = Columns()
        self._row_of: dict[str, int] = {}
        self._lengths: NDArray[np.float32] = np.zeros(0, np.float32)
        self._alive: Mask = np.zeros(0, np.bool_)

    @property
    def rows(self) -> int:
        """Rows in the index, the dead ones too."""
        return len(self._ids)

    @property
    def dead(self) -> int:
        """Rows that were replaced or removed."""
        return len(self._ids) - len(self._row_of)

    @property
    def small(self) -> bool:
        """Whether a search takes less time than to begin one in a thread."""
        return self.rows * self.dimension <= AT_ONCE

    def empty(self) -> Flat:
        """Another one of its kind, without entries."""
        return Flat(self.dimension, self._kind)

    def batch(self, entries: Sequence[Entry]) -> Batch:
        """Entries, checked and ready to be put (see `Batch.of`)."""
        return Batch.of(entries, self.dimension)

    def replay(self, row: dict[str, Any]) -> None:
        """Put a batch that was written down (see `Batch.from_json`)."""
        self.put(Batch.from_json(row, self.dimension))

    def put(self, batch: Batch) -> None:
        """Add a batch; entries of the same ids die."""
        if not len(batch):
            return
        units, lengths = directions(batch.vectors)
        with self._gate.writing():
            first, end = self.rows, self.rows + len(batch)
            if end > len(self._alive):
                self._alive, self._lengths = grown(self._alive, end), grown(self._lengths, end)
            self._forget(batch.ids)
            self._matrix.add(units)
            self._ids += batch.ids
            self._texts += batch.texts
            self._payloads += batch.payloads
            self._attributes += batch.attributes
            self._columns.add(batch.attributes)
            self._row_of.update(zip(batch.ids, range(first, end), strict=True))
            self._lengths[first:end], self._alive[first:end] = lengths, True

    def remove(self, ids: Sequence[str]) -> None:
        """Let entries die."""
        with self._gate.writing():
            self._forget(ids)

    def known(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids that are here, each once."""
        with self._gate.reading():
            return [id for id in dict.fromkeys(ids) if id in self._row_of]

    def nearest(self, vector: Sequence[float], most: int, where: Filter | None) -> list[Hit]:
        """The best entries by cosine similarity.

        Raises:
            InvalidRequest: the vector does not fit, or fewer than one are asked for.
        """
        unit = direction(vector, self.dimension)
        positive(most)
        with self._gate.reading():
            mask = self._taken(where)
            many = min(most, len(self._row_of) if mask is None else int(np.count_nonzero(mask)))
            if not many:
                return []
            pairs = zip(*self._matrix.nearest(unit, many, mask), strict=True)
            return [self._hit(row, min(1.0, max(-1.0, score))) for row, score in pairs]

    def matching(self, words: str, most: int, where: Filter | None) -> list[Hit]:
        """The best entries by BM25. The first search of words indexes the texts.

        Raises:
            InvalidRequest: fewer than one are asked for.
        """
        positive(most)
        with self._gate.reading():
            with self._making_words:
                index = self._words = self._words or WordIndex()
            index.catch_up(self._texts)
            mask = self._alive if where is None else self._alive[: self.rows] & self._columns.mask(where)
            return [self._hit(row, score) for row, score in index.search(words, most, mask.item)]

    def entries(self, ids: Sequence[str] | None, where: Filter | None, limit: int | None) -> list[Entry]:
        """Entries in the order of their putting, with their vectors."""
        with self._gate.reading():
            mask = self._taken(where)
            rows = self._row_of.values() if ids is None else sorted({self._row_of[i] for i in ids if i in self._row_of})
            found = [row for row in rows if mask is None or mask[row]]
            return self._entries(found[:limit])

    def batches(self) -> Iterator[Batch]:
        """All entries, in their order."""
        with self._gate.reading():
            rows = list(self._row_of.values())
        for start in range(0, len(rows), ROWS_A_BATCH):
            part = rows[start : start + ROWS_A_BATCH]
            yield Batch(
                [self._ids[row] for row in part],
                [self._texts[row] for row in part],
                [self._attributes[row] for row in part],
                [self._payloads[row] for row in part],
                self._matrix.rows(part) * self._lengths[part][:, None],
            )

    def _taken(self, where: Filter | None) -> Mask | None:
        """Which rows may be found; None for all."""
        alive = self._alive[: self.rows] if self.dead else None
        if where is None:
            return alive
        mask = self._columns.mask(where)
        return mask if alive is None else mask & alive

    def _forget(self, ids: Sequence[str]) -> None:
        rows = [row for id in ids if (row := self._row_of.pop(id, None)) is not None]
        self._alive[rows] = False

    def _hit(self, row: int, score: float) -> Hit:
        return Hit(self._ids[row], self._texts[row], score, self._attributes[row], self._payloads[row])

    def _entries(self, rows: Sequence[int]) -> list[Entry]:
        if not rows:
            return []
        vectors = (self._matrix.rows(rows) * self._lengths[list(rows)][:, None]).tolist()
        return [
            Entry(self._ids[row], self._texts[row], vector, self._attributes[row], self._payloads[row])
            for row, vector in zip(rows, vectors, strict=True)
        ]
