"""Rows of vectors and the search for the nearest of them: by faiss, or by numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stack_core.providers.vector_io._batch import Array
from stack_core.providers.vector_io._columns import Mask, grown

FEW = 4
"""Where at most one in so many rows may be found, those alone are multiplied."""


class Matrix(Protocol):
    """Vectors of length one, in rows that are only ever added."""

    def add(self, units: Array) -> None:
        """Add rows at the end, (rows, dimension)."""
        ...

    def nearest(self, unit: Array, most: int, mask: Mask | None) -> tuple[list[int], list[float]]:
        """Rows and their cosine similarities to a vector of length one, (dimension,), the best first.

        Args:
            most: how many; never more than there are, or than the mask takes.
            mask: which rows may be found, (rows,).
        """
        ...

    def rows(self, numbers: Sequence[int]) -> Array:
        """A copy of some rows."""
        ...


class FaissMatrix:
    """A flat index of faiss."""

    def __init__(self, dimension: int) -> None:
        import faiss

        self._faiss: Any = faiss  # its types are those of the C++ constructors; Python's take arrays and keywords
        self._index = faiss.IndexFlatIP(dimension)

    def add(self, units: Array) -> None:
        """See `Matrix`."""
        self._index.add(units)

    def nearest(self, unit: Array, most: int, mask: Mask | None) -> tuple[list[int], list[float]]:
        """See `Matrix`."""
        query = unit.reshape(1, -1)
        if mask is None:
            scores, rows = self._index.search(query, most)
        else:
            bits = np.packbits(mask, bitorder="little")
            selector = self._faiss.IDSelectorBitmap(bits)
            scores, rows = self._index.search(query, most, params=self._faiss.SearchParameters(sel=selector))
        return rows[0].tolist(), scores[0].tolist()

    def rows(self, numbers: Sequence[int]) -> Array:
        """See `Matrix`."""
        found: Array = self._index.reconstruct_batch(list(numbers))
        return found


class NumpyMatrix:
    """One array with room to grow; a search is one product and a partition."""

    def __init__(self, dimension: int) -> None:
        self._rows: Array = np.zeros((0, dimension), np.float32)
        self._count = 0

    def add(self, units: Array) -> None:
        """See `Matrix`."""
        end = self._count + len(units)
        if end > len(self._rows):
            self._rows = grown(self._rows, end)
        self._rows[self._count : end] = units
        self._count = end

    def nearest(self, unit: Array, most: int, mask: Mask | None) -> tuple[list[int], list[float]]:
        """See `Matrix`."""
        rows = self._rows[: self._count]
        chosen: NDArray[np.intp] | None = None
        if mask is not None and FEW * np.count_nonzero(mask) <= len(rows):
            chosen, mask = np.flatnonzero(mask), None
        scores = (rows if chosen is None else rows[chosen]) @ unit
        if mask is not None:
            scores[~mask] = -np.inf
        best = np.argpartition(scores, -most)[-most:] if most < len(scores) else np.arange(len(scores))
        best = best[np.argsort(-scores[best], kind="stable")][:most]
        numbers = best if chosen is None else chosen[best]
        return numbers.tolist(), scores[best].tolist()

    def rows(self, numbers: Sequence[int]) -> Array:
        """See `Matrix`."""
        return self._rows[list(numbers)]
