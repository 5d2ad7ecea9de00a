"""The forward pass of all-MiniLM-L6-v2 in numpy: six BERT layers of width 384 with 12 heads, mean pooling, length one.

Exact to about 3e-7 of the reference at 32 bits. The word embeddings stay memory-mapped in the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it has no stubs

Array = NDArray[np.float32]
LAYERS, WIDTH, HEADS = 6, 384, 12
FEW_CORES = 2
"""With so few cores one BLAS thread is faster than several, which wait for each other in a loop."""
_DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
_ERF = [np.float32(c) for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]


def read_safetensors(path: Path) -> dict[str, Array]:
    """The arrays of a safetensors file by name, memory-mapped.

    Raises:
        ValueError: it is not such a file, or it is cut off.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, 1 << 24)))
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    return {
        name: data[slice(*entry["data_offsets"])].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


class Linear(NamedTuple):
    """The matrix (inputs, outputs), and the bias."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        out = x @ self.weight
        out += self.bias
        return out


class Norm(NamedTuple):
    """Layer normalisation; works in place."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        x -= x.mean(-1, keepdims=True)
        variance = np.einsum("ij,ij->i", x, x)[:, None] / x.shape[-1]
        x *= 1 / np.sqrt(variance + np.float32(1e-12))
        x *= self.weight
        x += self.bias
        return x


class Layer(NamedTuple):
    """One transformer layer."""

    qkv: Linear
    out: Linear
    out_norm: Norm
    wide: Linear
    narrow: Linear
    norm: Norm

    def __call__(self, h: Array, shape: tuple[int, int], mask: Array | None) -> Array:
        """`h` has one row a token of every text."""
        texts, tokens = shape
        z = self.qkv(h).reshape(texts, tokens, 3, HEADS, WIDTH // HEADS).transpose(2, 0, 3, 1, 4)
        mixed = _attend(z[0], z[1], z[2], mask).transpose(0, 2, 1, 3).reshape(h.shape)
        h = self.out_norm(self.out(mixed) + h)
        return self.norm(self.narrow(_gelu(self.wide(h))) + h)


class NumpyMiniLM:
    """The model of a weights file; `embed` may be called from one thread at a time."""

    def __init__(self, weights: Path) -> None:
        tensors = read_safetensors(weights)
        place = tensors["embeddings.token_type_embeddings.weight"][0]
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._places = np.asarray(tensors["embeddings.position_embeddings.weight"] + place, np.float32)
        self._norm = _norm(tensors, "embeddings.LayerNorm")
        self._blas = ThreadpoolController() if (os.cpu_count() or 1) <= FEW_CORES else None
        self._layers = [_layer(tensors, f"encoder.layer.{number}.") for number in range(LAYERS)]

    def embed(self, batch: Sequence[Sequence[int]]) -> Array:
        """Vectors of length one, (texts, 384), of token ids."""
        if self._blas is None:
            return self._embed(batch)
        with self._blas.limit(limits=1, user_api="blas"):
            return self._embed(batch)

    def _embed(self, batch: Sequence[Sequence[int]]) -> Array:
        texts, tokens = len(batch), max(map(len, batch))
        ids, keep = padded(batch)
        h = self._norm((self._words[ids].astype(np.float32) + self._places[:tokens]).reshape(texts * tokens, WIDTH))
        mask = None if keep.all() else ((keep - 1) * np.float32(1e9))[:, None, None, :]
        for layer in self._layers:
            h = layer(h, (texts, tokens), mask)
        mean: Array = np.einsum("bnd,bn->bd", h.reshape(texts, tokens, WIDTH), keep) / keep.sum(1, keepdims=True)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        return mean


def padded(batch: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], Array]:
    """Ids filled up with zeros to one length, and 1.0 where there is a token."""
    shape = len(batch), max(map(len, batch))
    ids, keep = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    for row, text in enumerate(batch):
        ids[row, : len(text)] = text
        keep[row, : len(text)] = 1
    return ids, keep


def _attend(query: Array, key: Array, value: Array, mask: Array | None) -> Array:
    """Softmax attention; (texts, heads, tokens, head width)."""
    scores = np.ascontiguousarray(query) @ np.ascontiguousarray(key.swapaxes(-1, -2))
    scores *= np.float32((WIDTH // HEADS) ** -0.5)
    if mask is not None:
        scores += mask
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    out: Array = scores @ np.ascontiguousarray(value)
    return out


def _gelu(x: Array) -> Array:
    """x·Φ(x), with erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7); numpy has no erf."""
    z = x * np.float32(0.5**0.5)
    a = np.abs(z)
    t = 1 / (1 + np.float32(0.3275911) * a)
    p: Array = _ERF[0] * t
    for factor in _ERF[1:]:
        p += factor
        p *= t
    np.multiply(a, a, out=a)
    np.negative(a, out=a)
    np.exp(a, out=a)
    p *= a
    np.subtract(1, p, out=p)
    np.copysign(p, z, out=p)
    p += 1
    p *= x
    p *= np.float32(0.5)
    return p


def _layer(tensors: dict[str, Array], prefix: str) -> Layer:
    return Layer(
        _linear(tensors, *(f"{prefix}attention.self.{part}" for part in ("query", "key", "value"))),
        _linear(tensors, f"{prefix}attention.output.dense"),
        _norm(tensors, f"{prefix}attention.output.LayerNorm"),
        _linear(tensors, f"{prefix}intermediate.dense"),
        _linear(tensors, f"{prefix}output.dense"),
        _norm(tensors, f"{prefix}output.LayerNorm"),
    )


def _linear(tensors: dict[str, Array], *names: str) -> Linear:
    """One product for the matrices of these names side by side."""
    weight = np.concatenate([tensors[f"{name}.weight"] for name in names]).astype(np.float32)
    bias = np.concatenate([tensors[f"{name}.bias"] for name in names]).astype(np.float32)
    return Linear(np.ascontiguousarray(weight.T), bias)


def _norm(tensors: dict[str, Array], name: str) -> Norm:
    return Norm(*(np.array(tensors[f"{name}.{part}"], np.float32) for part in ("weight", "bias")))
