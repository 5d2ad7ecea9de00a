"""Tables in files: which format a file has, and the formats that are not read line by line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from stack_core.errors import InvalidRequest, MissingPackage, PayloadTooLarge
from stack_core.providers.datasetio._pages import ListTable, Table
from stack_core.providers.datasetio._text_tables import BOM, JsonLines, Separated
from stack_core.providers.datasetio._values import plain

Rows = list[dict[str, Any]]
ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
}
MEDIA = {
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/json": "json",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.apache.parquet": "parquet",
    **{name: name for name in ("jsonl", "json", "csv", "tsv", "parquet")},
}
"""Media types, and the bare names that Llama Stack's `data:csv;base64,…` has in their place."""
LARGEST_JSON = 64 * 1024 * 1024
"""Bytes of a JSON file that is one list: it is held whole."""
BATCH = 4096
"""Rows of a Parquet file that are read at a time."""
GZIP = b"\x1f\x8b"


def open_table(path: Path, name: str, media_type: str = "") -> Table:
    """The table in a file.

    Args:
        name: how errors call it; its ending says the format.
        media_type: says it where the ending does not.

    Raises:
        InvalidRequest: no known format.
    """
    ending = Path(name.lower().removesuffix(".gz")).suffix
    kind = ENDINGS.get(ending) or MEDIA.get(media_type.partition(";")[0].strip().lower()) or _sniffed(path)
    if kind == "json" and _first(path) != b"[":
        kind = "jsonl"  # many files with this ending hold one object a line
    match kind:
        case "jsonl":
            return JsonLines(path, name)
        case "json":
            return json_list(path, name)
        case "csv" | "tsv":
            return Separated(path, name, "," if kind == "csv" else "\t")
        case "parquet":
            return Parquet(path, name)
    known = ", ".join(sorted(set(ENDINGS)))
    raise InvalidRequest(f"{name}: the format of the rows is not known", f"a name that ends in one of {known}")


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed by gzip."""
    with path.open("rb") as file:
        return file.read(2) == GZIP


def unpack(path: Path, name: str, out: BinaryIO, limit: int) -> None:
    """Write what a gzip file holds.

    Raises:
        PayloadTooLarge: more than `limit` bytes.
        InvalidRequest: it is damaged.
    """
    written = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                written += len(piece)
                if written > limit:
                    raise PayloadTooLarge(f"{name}: unpacks to more than {limit >> 20} MiB", "raise max_bytes")
                out.write(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidRequest(f"{name}: not a whole gzip file: {error}", "make it anew") from error


def json_list(path: Path, name: str) -> ListTable:
    """A file that is one JSON list of objects.

    Raises:
        PayloadTooLarge: it is too large to be held whole.
        InvalidRequest: it is none.
    """
    if path.stat().st_size > LARGEST_JSON:
        hint = "write it as JSON lines: one object a line"
        raise PayloadTooLarge(f"{name}: a JSON list of more than {LARGEST_JSON >> 20} MiB", hint)
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name}: not UTF-8 (byte {error.start + 1})", "save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name}: not JSON: {error}", "a list of JSON objects") from error
    for index, row in enumerate(found):
        if not isinstance(row, dict):
            hint = "a list of JSON objects"
            raise InvalidRequest(f"{name}: entry {index} is a {type(row).__name__}, no JSON object", hint)
    return ListTable(plain(found))


class Parquet:
    """A Parquet file; only the row groups of a page are read."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra
            from pyarrow import parquet
        except ImportError as error:
            raise MissingPackage("pyarrow", needed_by=name, extra="parquet") from error
        self._path, self._name = path, name
        self._open, self._broken = parquet.ParquetFile, (pyarrow.ArrowException, OSError)
        try:
            with self._open(path) as file:
                groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
                columns = Counter(file.schema_arrow.names)
        except self._broken as error:
            raise InvalidRequest(f"{name}: not a Parquet file: {error}", "is it whole?") from error
        self._groups: list[int] = groups
        if twice := [column for column, times in columns.items() if times > 1]:
            hint = "give every column a name of its own"
            raise InvalidRequest(f"{name}: the column {twice[0]!r} stands twice", hint)

    def page(self, start: int, limit: int | None) -> Rows:
        """At most `limit` rows from index `start` on.

        Raises:
            InvalidRequest: the file is damaged.
        """
        end = self.count() if limit is None else min(start + limit, self.count())
        rows: Rows = []
        first = 0
        try:
            with self._open(self._path) as file:
                for number, size in enumerate(self._groups):
                    if first < end and first + size > start:
                        rows += self._of_group(file, number, max(0, start - first), end - first)
                    first += size
        except self._broken as error:
            raise InvalidRequest(f"{self._name}: cannot be read: {error}", "is it whole?") from error
        return rows

    def count(self) -> int:
        """How many rows there are."""
        return sum(self._groups)

    def _of_group(self, file: Any, number: int, start: int, end: int) -> Rows:
        """The rows from `start` to before `end` of a row group, which may have a million."""
        rows: Rows = []
        first = 0
        for batch in file.iter_batches(batch_size=BATCH, row_groups=[number]):
            if first >= end:
                break
            if first + batch.num_rows > start:
                skipped = max(0, start - first)
                rows += [plain(row) for row in batch.slice(skipped, end - first - skipped).to_pylist()]
            first += batch.num_rows
        return rows


def _sniffed(path: Path) -> str | None:
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return "parquet"
    return {b"[": "json", b"{": "jsonl"}.get(_first(path))


def _first(path: Path) -> bytes:
    """The first byte that is not white space."""
    with path.open("rb") as file:
        return file.read(4096).removeprefix(BOM).lstrip()[:1]
