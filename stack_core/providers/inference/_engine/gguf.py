"""Read the head of a GGUF file: enough to refuse, before the engine loads it, what would crash or hang the engine.

The format is llama.cpp's (versions 2 and 3): magic, version, counts, typed key/value pairs, tensor descriptions, data.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

ENCODERS = (
    "bert",
    "nomic-bert",
    "nomic-bert-moe",
    "jina-bert-v2",
    "jina-bert-v3",
    "modern-bert",
    "neo-bert",
    "eurobert",
)
"""Architectures that embed and cannot generate; llama.cpp aborts when they are asked to."""

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
MOST_PAIRS, MOST_TENSORS, MOST_TEXT, MOST_ITEMS = 10_000, 100_000, 1 << 24, 1 << 22
RANK_POOLING = 4


class DamagedFile(ValueError):
    """The bytes are not a GGUF file that could be loaded; the text says what is wrong."""


@dataclass(frozen=True)
class Header:
    """What a model file says of itself. Sizes are in elements, `size` in bytes."""

    architecture: str
    name: str
    size: int
    context_length: int
    embedding_length: int
    layers: int
    cache_width: int
    pooling: int | None

    @property
    def is_encoder(self) -> bool:
        """It turns texts into vectors and cannot generate."""
        return self.architecture in ENCODERS

    @property
    def is_reranker(self) -> bool:
        """It scores pairs of a query and a text."""
        return self.pooling == RANK_POOLING

    def memory(self, tokens: int) -> int:
        """Bytes needed to run with room for so many tokens: the weights and a 16-bit key/value cache."""
        return self.size + (0 if self.is_encoder else 2 * tokens * self.layers * self.cache_width)


def read_header(path: Path) -> Header:
    """The head of the file at `path`, remembered until the file changes.

    Raises:
        DamagedFile: not a GGUF file, cut off, or without what every model file has.
        OSError: it cannot be read.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
        raise DamagedFile("it is no regular file")  # to open a pipe would wait for its writer
    return _read(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, size: int, _changed: int) -> Header:
    with path.open("rb") as file:
        try:
            return _header(_Reader(file), size)
        except (struct.error, UnicodeDecodeError) as error:
            raise DamagedFile("its header is cut off or garbled") from error


def _header(read: _Reader, size: int) -> Header:
    magic = read.bytes(4)
    if magic != MAGIC:
        raise DamagedFile(f"it starts with {magic!r}, not with GGUF" if magic else "it is empty")
    version = read.number("<I")
    if version not in (2, 3):
        raise DamagedFile(f"it is GGUF version {version}; versions 2 and 3 can be read")
    tensors, pairs = read.number("<Q"), read.number("<Q")
    if not 0 < tensors <= MOST_TENSORS or not 0 < pairs <= MOST_PAIRS:
        raise DamagedFile(f"it claims {tensors} tensors and {pairs} settings")
    values = dict(read.pair() for _ in range(pairs))
    last = max(read.tensor() for _ in range(tensors))
    alignment = values.get("general.alignment", 32)
    start = -(-read.position // alignment) * alignment
    if start + last >= size:
        raise DamagedFile(f"it is cut off: {size:,} bytes, but a tensor starts at byte {start + last:,}")
    return _facts(values, size)


def _facts(values: dict[str, Any], size: int) -> Header:
    arch = values.get("general.architecture")
    if not isinstance(arch, str):
        raise DamagedFile("it does not say which architecture it has (general.architecture)")

    def fact(key: str, default: int = 0) -> int:
        value = values.get(f"{arch}.{key}", default)
        return value if isinstance(value, int) else default

    width, heads = fact("embedding_length"), max(fact("attention.head_count"), 1)
    kv_heads = fact("attention.head_count_kv", heads)
    key_size = fact("attention.key_length", width // heads)
    return Header(
        architecture=arch,
        name=str(values.get("general.name", "")),
        size=size,
        context_length=fact("context_length"),
        embedding_length=width,
        layers=fact("block_count"),
        cache_width=kv_heads * (key_size + fact("attention.value_length", key_size)),
        pooling=values.get(f"{arch}.pooling_type"),
    )


class _Reader:
    """Typed reads from the file, each within the format's sane limits."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def position(self) -> int:
        return self._file.tell()

    def bytes(self, count: int) -> bytes:
        return self._file.read(count)

    def number(self, form: str) -> Any:
        return struct.unpack(form, self._file.read(struct.calcsize(form)))[0]

    def _length(self, most: int) -> int:
        length: int = self.number("<Q")
        if length > most:
            raise DamagedFile(f"its header claims a field of {length:,} items")
        return length

    def text(self) -> str:
        length = self._length(MOST_TEXT)
        data = self._file.read(length)
        if len(data) < length:
            raise DamagedFile("its header is cut off")
        return data.decode()

    def pair(self) -> tuple[str, Any]:
        """A key and its value; arrays (vocabularies) are passed over and come as None."""
        key = self.text()
        return key, self._value(self.number("<I"))

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self._pass_array()
        if kind not in SCALARS:
            raise DamagedFile(f"its header has a value of unknown kind {kind}")
        return self.number(SCALARS[kind])

    def _pass_array(self) -> None:
        kind, count = self.number("<I"), self._length(MOST_ITEMS)
        if kind in SCALARS:
            self._file.seek(count * struct.calcsize(SCALARS[kind]), 1)
        elif kind == STRING:
            for _ in range(count):
                self._file.seek(self._length(MOST_TEXT), 1)
        else:
            raise DamagedFile(f"its header has an array of unknown kind {kind}")

    def tensor(self) -> int:
        """Where the tensor's data begins, from the start of all data."""
        self.text()
        dims = self.number("<I")
        if dims > 8:
            raise DamagedFile(f"a tensor claims {dims} dimensions")
        self._file.seek(8 * dims + 4, 1)
        offset: int = self.number("<Q")
        return offset
