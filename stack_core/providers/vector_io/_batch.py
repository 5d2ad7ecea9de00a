"""Entries on their way into an index: checked together, their vectors packed."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stack_core.apis.vector_io import Entry
from stack_core.errors import InvalidRequest
from stack_core.providers.vector_io._filters import kinded, storable

Array = NDArray[np.float32]

HEALTHY = "cosine similarity needs finite numbers that are not all 0"


@dataclass(slots=True)
class Batch:
    """Entries of distinct ids. `vectors` are as they were given, (entries, dimension)."""

    ids: list[str]
    texts: list[str]
    attributes: list[dict[str, Any]]
    payloads: list[str]
    vectors: Array

    @classmethod
    def of(cls, entries: Sequence[Entry], dimension: int) -> Batch:
        """Check entries; of two with the same id the last one counts.

        Raises:
            InvalidRequest: names the entry whose vector, attributes or text cannot be stored.
        """
        last = list({entry.id: entry for entry in entries}.values())
        vectors = packed([entry.vector for entry in last], dimension, [entry.id for entry in last])
        for entry in last:
            for text in (entry.id, entry.text, entry.payload, *entry.attributes):
                storable(text, entry.id)
            for value in entry.attributes.values():
                if (pair := kinded(value)) is not None and pair[0] == "text":
                    storable(pair[1], entry.id)
        return cls(
            [entry.id for entry in last],
            [entry.text for entry in last],
            [dict(entry.attributes) for entry in last],
            [entry.payload for entry in last],
            vectors,
        )

    @classmethod
    def from_json(cls, row: dict[str, Any], dimension: int) -> Batch:
        """What `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        vectors = np.frombuffer(base64.b64decode(row["vectors"], validate=True), "<f4").reshape(-1, dimension)
        out = cls(row["ids"], row["texts"], row["attributes"], row["payloads"], vectors)
        if {len(out.ids), len(out.texts), len(out.attributes), len(out.payloads)} != {len(vectors)}:
            raise ValueError("its columns differ in length")
        return out

    def to_json(self) -> str:
        """The batch as one line of text; vectors as base64 of little-endian float32."""
        row = {"ids": self.ids, "texts": self.texts, "attributes": self.attributes, "payloads": self.payloads}
        vectors = base64.b64encode(self.vectors.astype("<f4", copy=False).tobytes()).decode("ascii")
        return json.dumps({**row, "vectors": vectors}, ensure_ascii=False, separators=(",", ":"))

    def __len__(self) -> int:
        return len(self.ids)


def packed(vectors: Sequence[Sequence[float]], dimension: int, ids: Sequence[str]) -> Array:
    """Vectors as one float32 array, (vectors, dimension).

    Args:
        ids: whose they are, for errors.

    Raises:
        InvalidRequest: one has another length, a value that is not finite, or no direction.
    """
    for vector, id in zip(vectors, ids, strict=True):
        if len(vector) != dimension:
            raise InvalidRequest(
                f"the vector of {id!r} has {len(vector)} numbers; this collection holds vectors of {dimension}",
                "use the embedding model and dimension that the collection was made with",
            )
    try:
        with np.errstate(over="ignore"):
            out = np.array(vectors, np.float32).reshape(-1, dimension)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"a vector has something that is no number: {error}", HEALTHY) from error
    lengths = squares(out)
    unfit = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(unfit):
        bad = int(unfit[0])
        fault = "is all zeros" if lengths[bad] == 0 else "has a value that is not finite, or too great"
        raise InvalidRequest(f"the vector of {ids[bad]!r} {fault}", HEALTHY)
    return out


def squares(vectors: Array) -> NDArray[np.float64]:
    """The squared length of each vector."""
    wide = vectors.astype(np.float64)
    out: NDArray[np.float64] = np.einsum("ij,ij->i", wide, wide)
    return out


def directions(vectors: Array) -> tuple[Array, Array]:
    """Vectors brought to length one, and the lengths they had."""
    lengths = np.sqrt(squares(vectors))
    return (vectors / lengths[:, None]).astype(np.float32), lengths.astype(np.float32)


def direction(vector: Sequence[float], dimension: int) -> Array:
    """A query brought to length one, (dimension,).

    Raises:
        InvalidRequest: see `packed`.
    """
    if len(vector) == dimension:
        with contextlib.suppress(TypeError, ValueError):
            row = np.array(vector, np.float64)
            length = math.sqrt(row @ row)
            if 0 < length < math.inf:
                return (row / length).astype(np.float32)
    unit: Array = directions(packed([vector], dimension, ["the query"]))[0][0]  # which says what is wrong
    return unit


def positive(most: int) -> int:
    """How many are asked for.

    Raises:
        InvalidRequest: fewer than one.
    """
    if most < 1:
        raise InvalidRequest(f"{most} entries were asked for", "ask for 1 or more")
    return most
