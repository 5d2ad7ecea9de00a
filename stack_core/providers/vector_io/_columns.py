"""Attributes by column, so that a filter looks at each distinct value once and not at each entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stack_core.apis.vector_io import Combination, Filter
from stack_core.providers.vector_io._filters import Kinded, checked, kinded, test_of

Mask = NDArray[np.bool_]


class Columns:
    """The attributes of rows that are only ever added."""

    def __init__(self) -> None:
        self._rows = 0
        self._columns: dict[str, _Column] = {}

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows at the end."""
        for number, attributes in enumerate(rows, self._rows):
            for key, value in attributes.items():
                if (pair := kinded(value)) is not None:
                    self._columns.setdefault(key, _Column()).put(number, pair)
        self._rows += len(rows)

    def mask(self, where: Filter) -> Mask:
        """Which rows a filter takes, (rows,).

        Raises:
            InvalidRequest: see `_filters.checked`.
        """
        return self._mask(checked(where))

    def _mask(self, where: Filter) -> Mask:
        if isinstance(where, Combination):
            join = np.logical_and if where.op == "and" else np.logical_or
            out = np.full(self._rows, where.op == "and")
            for part in where.filters:
                join(out, self._mask(part), out=out)
            return out
        test = test_of(where)
        column = self._columns.get(where.key)
        if column is None:
            return np.full(self._rows, test(None))
        says = np.array([test(None), *map(test, column.codes)])
        taken: Mask = says[column.of_rows(self._rows)]
        return taken


class _Column:
    """A code for each row: 0 where it has no value, else that of its value."""

    def __init__(self) -> None:
        self.codes: dict[Kinded, int] = {}
        self._of_rows = np.zeros(0, np.int32)

    def put(self, row: int, pair: Kinded) -> None:
        if row >= len(self._of_rows):
            self._of_rows = grown(self._of_rows, row + 1)
        self._of_rows[row] = self.codes.setdefault(pair, len(self.codes) + 1)

    def of_rows(self, rows: int) -> NDArray[np.int32]:
        if rows > len(self._of_rows):
            self._of_rows = grown(self._of_rows, rows)
        return self._of_rows[:rows]


def grown(array: NDArray[Any], needed: int) -> NDArray[Any]:
    """A copy with room for `needed` rows and as many again, zeros at the end."""
    out = np.zeros((2 * needed, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
