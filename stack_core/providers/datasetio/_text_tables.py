"""Tables in text files, read a page at a time: JSON lines and separated values.

Every thousandth record's place is remembered, so that a page deep in a large file is found without reading it whole.
"""

from __future__ import annotations

import csv
import json
import threading
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from stack_core.errors import InvalidRequest
from stack_core.providers.datasetio._values import plain

Rows = list[dict[str, Any]]
EVERY = 1000
"""Records between two remembered places."""
LONGEST = 64 * 1024 * 1024
"""Bytes of one line."""
BOM = b"\xef\xbb\xbf"


class Place(NamedTuple):
    """Where a record begins: its number, its line (from 1), its offset in bytes."""

    record: int
    line: int
    offset: int


class TextTable(ABC):
    """A file of records, one after the other.

    Args:
        path: of a file that does not change.
        name: how errors call it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._lock = threading.Lock()
        self._places: list[Place] = []
        self._count: int | None = None

    def page(self, start: int, limit: int | None) -> Rows:
        """At most `limit` rows from index `start` on.

        Raises:
            InvalidRequest: a row cannot be read; says on which line.
        """
        rows: Rows = []
        if limit == 0:
            return rows
        for record, line, raw in self._walk(start):
            if record >= start:
                rows.append(self.parse(line, raw))
                if len(rows) == limit:
                    break
        return rows

    def count(self) -> int:
        """How many rows there are; the file is read to its end once."""
        if self._count is None:
            last = self._places[-1].record if self._places else 0
            for _ in self._walk(last):
                pass
        return self._count or 0

    @abstractmethod
    def begin(self, file: BinaryIO) -> Place:
        """Read what stands before the first record; gives the place of that."""

    @abstractmethod
    def records(self, lines: Lines) -> Iterator[tuple[int, Any]]:
        """(line, raw record) from here on. No line is taken before its record is asked for."""

    @abstractmethod
    def parse(self, line: int, raw: Any) -> dict[str, Any]:
        """The row of a record."""

    def _walk(self, start: int) -> Iterator[tuple[int, int, Any]]:
        """(number, line, raw record) from the last remembered place at or before `start` on."""
        with self._opened() as file:
            place = self._nearest(file, start)
            lines = Lines(file, place, self.name)
            record = place.record
            for line, raw in self.records(lines):
                yield record, line, raw
                record += 1
                if record % EVERY == 0:
                    self._remember(Place(record, lines.number, lines.offset))
            self._count = record

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InvalidRequest(f"{self.name} cannot be read: {error.strerror}", "is it still there?") from error

    def _nearest(self, file: BinaryIO, start: int) -> Place:
        with self._lock:
            if not self._places:
                self._places.append(self.begin(file))
            place = self._places[bisect_right([p.record for p in self._places], start) - 1]
        file.seek(place.offset)
        return place

    def _remember(self, place: Place) -> None:
        with self._lock:
            if place.record > self._places[-1].record:
                self._places.append(place)


class Lines:
    """The lines of a file as text. `number` is that of the next line, `offset` where it begins."""

    def __init__(self, file: BinaryIO, place: Place, name: str) -> None:
        self._file, self._name = file, name
        self.number, self.offset = place.line, place.offset

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(LONGEST)
        if not raw:
            raise StopIteration
        number = self.number
        self.number += 1
        self.offset += len(raw)
        if len(raw) == LONGEST:
            raise InvalidRequest(f"{self._name}, line {number}: longer than {LONGEST >> 20} MiB", "is it a text file?")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            at = f"{self._name}, line {number}"
            raise InvalidRequest(f"{at}: not UTF-8 (byte {error.start + 1})", "save the file as UTF-8") from error


class JsonLines(TextTable):
    """One JSON object a line; empty lines do not count."""

    def begin(self, file: BinaryIO) -> Place:
        return Place(0, 1, len(BOM) if file.read(len(BOM)) == BOM else 0)

    def records(self, lines: Lines) -> Iterator[tuple[int, str]]:
        for text in lines:
            if text.strip():
                yield lines.number - 1, text

    def parse(self, line: int, raw: Any) -> dict[str, Any]:
        try:
            row = json.loads(raw)
        except (ValueError, RecursionError) as error:
            why = f"{error.msg} (column {error.colno})" if isinstance(error, json.JSONDecodeError) else str(error)
            raise InvalidRequest(
                f"{self.name}, line {line}: not JSON: {why}", "each line is one JSON object"
            ) from error
        if not isinstance(row, dict):
            found = type(row).__name__
            raise InvalidRequest(f"{self.name}, line {line}: a {found}, no JSON object", "each line is one JSON object")
        plain_row: dict[str, Any] = plain(row)
        return plain_row


class Separated(TextTable):
    """Separated values with a header. Values stay the texts that they are."""

    def __init__(self, path: Path, name: str, separator: str) -> None:
        super().__init__(path, name)
        self._separator = separator
        self._columns: list[str] = []

    def begin(self, file: BinaryIO) -> Place:
        start = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(start)
        lines = Lines(file, Place(0, 1, start), self.name)
        for line, cells in self.records(lines):
            self._columns = cells
            twice = [name for index, name in enumerate(cells) if name in cells[:index]]
            if twice:
                hint = "give every column a name of its own"
                raise InvalidRequest(f"{self.name}, line {line}: the column {twice[0]!r} stands twice", hint)
            break
        return Place(0, lines.number, lines.offset)

    def records(self, lines: Lines) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(lines, delimiter=self._separator, strict=True)
        while True:
            line = lines.number
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidRequest(
                    f"{self.name}, line {line}: {error}", "is it separated as its name says?"
                ) from error
            if cells:
                yield line, cells

    def parse(self, line: int, raw: Any) -> dict[str, Any]:
        if len(raw) != len(self._columns):
            raise InvalidRequest(
                f"{self.name}, line {line}: {len(raw)} values, but the header has {len(self._columns)} columns",
                "quote values that hold the separator",
            )
        return dict(zip(self._columns, raw, strict=True))
