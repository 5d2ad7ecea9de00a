"""Writes small GGUF files, sound and damaged, for tests of the embedded engine."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {np.dtype("float32"): 0, np.dtype("float16"): 1}


def write(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, np.ndarray], *, version: int = 3) -> Path:
    """A GGUF file: ints become uint32, those in lists int32; a list has its first item's kind."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(settings))
    head += b"".join(_text(key) + _value(value) for key, value in settings.items())
    data = b""
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", KINDS[tensor.dtype], len(data))
        data += _padded(tensor.tobytes())
    path.write_bytes(_padded(head) + data)
    return path


def header_only(path: Path, architecture: str = "llama", **changes: Any) -> Path:
    """A file whose head is sound and whose one tensor is nothing that could run."""
    settings = {
        "general.architecture": architecture,
        "general.name": "made up",
        f"{architecture}.context_length": 512,
        f"{architecture}.embedding_length": 64,
        f"{architecture}.block_count": 2,
        f"{architecture}.attention.head_count": 4,
        "tokenizer.ggml.tokens": ["a", "b"],
    }
    return write(path, {**settings, **changes}, {"token_embd.weight": np.zeros((2, 64), np.float32)})


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        kind = 5 if isinstance(value[0], int) else _kind(value[0])
        items = b"".join(_bare(item) for item in value)
        return struct.pack("<IIQ", 9, kind, len(value)) + items
    return struct.pack("<I", _kind(value)) + _bare(value)


def _kind(value: Any) -> int:
    return {bool: 7, int: 4, float: 6, str: 8}[type(value)]


def _bare(value: Any) -> bytes:
    if isinstance(value, str):
        return _text(value)
    return struct.pack({bool: "<?", int: "<I", float: "<f"}[type(value)], value)
