"""The same network through onnxruntime, about twice as fast as numpy.

The graph is written here, in ONNX's protobuf encoding, without weights: its matrices are declared as external data and
handed over from the safetensors file, so nothing has to be converted or shipped. Field numbers are onnx.proto3's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stack_core.providers.inference._minilm.forward import FEW_CORES, HEADS, LAYERS, WIDTH, padded, read_safetensors

if TYPE_CHECKING:
    from stack_core.providers.inference._minilm.forward import Array

FLOAT, INT64 = 1, 7
INNER, POSITIONS, WORDS = 1536, 512, 30522


class OnnxMiniLM:
    """The model of a weights file, run by onnxruntime."""

    def __init__(self, weights: Path) -> None:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra

        tensors = read_safetensors(weights)
        graph = _Graph()
        graph.build()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if (os.cpu_count() or 1) <= FEW_CORES else 0  # 0: one a core
        options.log_severity_level = 3
        # the runtime reads these where they lie: they must outlive the session
        self._kept = [onnxruntime.OrtValue.ortvalue_from_numpy(np.array(tensors[name])) for name in graph.outside]
        options.add_external_initializers(graph.outside, self._kept)
        self._session = onnxruntime.InferenceSession(graph.encoded(), options, providers=["CPUExecutionProvider"])

    def embed(self, batch: Sequence[Sequence[int]]) -> Array:
        """Vectors of length one, (texts, 384), of token ids."""
        ids, keep = padded(batch)
        out: Array = self._session.run(None, {"ids": ids, "keep": keep})[0]
        return out


class _Graph:
    """An ONNX graph being written: nodes, then constants and external matrices."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self.outside: list[str] = []

    def build(self) -> None:
        """Write every node, from `ids` and `keep` (1.0 where there is a token) to `vectors`."""
        self._constant("first", INT64, [0], shape=[])
        self._constant("step", INT64, [1], shape=[])
        self._constant("heads", INT64, [0, 0, HEADS, WIDTH // HEADS])
        self._constant("joined", INT64, [0, 0, WIDTH])
        self._constant("axis1", INT64, [1])
        self._constant("axis12", INT64, [1, 2])
        self._constant("last", INT64, [-1])
        for name, value in (("one", 1.0), ("half", 0.5), ("root", 0.5**0.5), ("far", -1e9)):
            self._constant(name, FLOAT, [value], shape=[])
        self._constant("scale", FLOAT, [(WIDTH // HEADS) ** -0.5], shape=[])
        self._embed()
        hidden = self._norm("summed", "embeddings.LayerNorm", "h")
        for number in range(LAYERS):
            hidden = self._layer(hidden, f"encoder.layer.{number}.")
        self._pool(hidden)

    def encoded(self) -> bytes:
        """The whole model as bytes."""
        inputs = [_value("ids", INT64, ["texts", "tokens"]), _value("keep", FLOAT, ["texts", "tokens"])]
        graph = b"".join(_field(1, node) for node in self._nodes) + _field(2, b"minilm")
        graph += b"".join(_field(5, tensor) for tensor in self._tensors)
        graph += b"".join(_field(11, value) for value in inputs)
        graph += _field(12, _value("vectors", FLOAT, ["texts", WIDTH]))
        return _field(1, 9) + _field(8, _field(1, b"") + _field(2, 18)) + _field(7, graph)

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: int | float | list[int]) -> str:
        parts = [_field(1, name.encode()) for name in inputs]
        parts += [_field(2, output.encode()), _field(4, kind.encode())]
        parts += [_field(5, _attribute(name, value)) for name, value in attributes.items()]
        self._nodes.append(b"".join(parts))
        return output

    def _constant(
        self, name: str, kind: int, values: Sequence[int] | Sequence[float], shape: list[int] | None = None
    ) -> None:
        dims = [len(values)] if shape is None else shape
        data = struct.pack(f"<{len(values)}{'q' if kind == INT64 else 'f'}", *values)
        self._tensors.append(_tensor_head(name, kind, dims) + _field(9, data))

    def _matrix(self, name: str, shape: list[int]) -> str:
        place = _field(13, _field(1, b"location") + _field(2, b"weights"))
        self._tensors.append(_tensor_head(name, FLOAT, shape) + place + _field(14, 1))
        self.outside.append(name)
        return name

    def _embed(self) -> None:
        self._node("Gather", [self._matrix("embeddings.word_embeddings.weight", [WORDS, WIDTH]), "ids"], "words")
        self._node("Shape", ["ids"], "length1", start=1, end=2)
        self._node("Squeeze", ["length1"], "length")
        self._node("Range", ["first", "length", "step"], "positions")
        places = self._matrix("embeddings.position_embeddings.weight", [POSITIONS, WIDTH])
        self._node("Gather", [places, "positions"], "places")
        types = self._matrix("embeddings.token_type_embeddings.weight", [2, WIDTH])
        self._node("Gather", [types, "first"], "type")
        self._node("Add", ["words", "places"], "placed")
        self._node("Add", ["placed", "type"], "summed")
        self._node("Sub", ["one", "keep"], "left_out")
        self._node("Mul", ["left_out", "far"], "mask2")
        self._node("Unsqueeze", ["mask2", "axis12"], "mask")

    def _norm(self, x: str, name: str, output: str) -> str:
        given = [x, self._matrix(f"{name}.weight", [WIDTH]), self._matrix(f"{name}.bias", [WIDTH])]
        return self._node("LayerNormalization", given, output, axis=-1, epsilon=1e-12)

    def _linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        turned = self._node("Transpose", [self._matrix(f"{name}.weight", [outputs, inputs])], f"{name}:t", perm=[1, 0])
        product = self._node("MatMul", [x, turned], f"{name}:p")
        return self._node("Add", [product, self._matrix(f"{name}.bias", [outputs])], f"{name}:out")

    def _heads(self, x: str, name: str, perm: list[int]) -> str:
        full = self._linear(x, name, WIDTH, WIDTH)
        return self._node("Transpose", [self._node("Reshape", [full, "heads"], f"{name}:r")], f"{name}:h", perm=perm)

    def _layer(self, x: str, prefix: str) -> str:
        part = f"{prefix}attention.self."
        query = self._heads(x, f"{part}query", [0, 2, 1, 3])
        key = self._heads(x, f"{part}key", [0, 2, 3, 1])
        value = self._heads(x, f"{part}value", [0, 2, 1, 3])
        scores = self._node("MatMul", [query, key], f"{part}qk")
        scaled = self._node("Mul", [scores, "scale"], f"{part}scaled")
        masked = self._node("Add", [scaled, "mask"], f"{part}masked")
        weights = self._node("Softmax", [masked], f"{part}weights", axis=-1)
        mixed = self._node("MatMul", [weights, value], f"{part}mixed")
        turned = self._node("Transpose", [mixed], f"{part}turned", perm=[0, 2, 1, 3])
        joined = self._node("Reshape", [turned, "joined"], f"{part}joined")
        out = self._linear(joined, f"{prefix}attention.output.dense", WIDTH, WIDTH)
        added = self._node("Add", [out, x], f"{prefix}added")
        x = self._norm(added, f"{prefix}attention.output.LayerNorm", f"{prefix}middle")
        wide = self._gelu(self._linear(x, f"{prefix}intermediate.dense", WIDTH, INNER), prefix)
        narrow = self._linear(wide, f"{prefix}output.dense", INNER, WIDTH)
        added = self._node("Add", [narrow, x], f"{prefix}added2")
        return self._norm(added, f"{prefix}output.LayerNorm", f"{prefix}end")

    def _gelu(self, x: str, prefix: str) -> str:
        erf = self._node("Erf", [self._node("Mul", [x, "root"], f"{prefix}g0")], f"{prefix}g1")
        product = self._node("Mul", [x, self._node("Add", [erf, "one"], f"{prefix}g2")], f"{prefix}g3")
        return self._node("Mul", [product, "half"], f"{prefix}g4")

    def _pool(self, x: str) -> None:
        self._node("Unsqueeze", ["keep", "last"], "keep3")
        self._node("ReduceSum", [self._node("Mul", [x, "keep3"], "kept"), "axis1"], "sum", keepdims=0)
        self._node("ReduceSum", ["keep", "axis1"], "count", keepdims=1)
        self._node("Div", ["sum", "count"], "mean")
        self._node("ReduceL2", ["mean", "last"], "size", keepdims=1)
        self._node("Div", ["mean", "size"], "vectors")


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: bytes | int) -> bytes:
    """One protobuf field: a number as a varint, bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _attribute(name: str, value: float | list[int]) -> bytes:
    head = _field(1, name.encode())
    if isinstance(value, list):
        return head + b"".join(_field(8, item) for item in value) + _field(20, 7)
    if isinstance(value, int):
        return head + _field(3, value) + _field(20, 2)
    return head + _varint(2 << 3 | 5) + struct.pack("<f", value) + _field(20, 1)


def _tensor_head(name: str, kind: int, shape: Sequence[int]) -> bytes:
    return b"".join(_field(1, size) for size in shape) + _field(2, kind) + _field(8, name.encode())


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    sizes = [_field(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in shape]
    tensor = _field(1, kind) + _field(2, b"".join(_field(1, size) for size in sizes))
    return _field(1, name.encode()) + _field(2, _field(1, tensor))
