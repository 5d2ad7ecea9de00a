"""The lines of a batch's input file: read in pieces, checked one by one."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from stack_core.apis._content import FileContent
from stack_core.apis.batches import BatchError

MOST_LINES = 50_000
"""Requests in one batch (OpenAI's limit)."""
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one line; a longer one is no request."""


@dataclass(frozen=True)
class Line:
    """One request of the file; `number` counts from 1, empty lines included."""

    number: int
    custom_id: str | None
    body: dict[str, Any]
    fault: BatchError | None = None


async def texts(content: FileContent) -> AsyncIterator[tuple[int, bytes]]:
    """(number, line) of every line that is not blank; at most one piece and one line are held at a time. Of a line that
    is too long for a request only its beginning is given."""
    number, rest = 0, bytearray()
    try:
        async for piece in content.chunks():
            *whole, last = piece.split(b"\n")
            for text in whole:
                number += 1
                _grow(rest, text)
                if line := _bare(rest, number):
                    yield number, line
                rest = bytearray()
            _grow(rest, last)
        if line := _bare(rest, number + 1):
            yield number + 1, line
    finally:
        await content.aclose()


def _grow(line: bytearray, more: bytes) -> None:
    """Add to a line, up to one byte more than it may have: that one tells that it is too long."""
    line += more[: LONGEST_LINE + 1 - len(line)]


def _bare(line: bytearray, number: int) -> bytes:
    """A line without the spaces around it, the first one without the mark that some editors begin a file with."""
    if len(line) > LONGEST_LINE:
        return bytes(line)
    return bytes(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()


def parse(number: int, text: bytes, endpoint: str) -> Line:
    """A line, with its fault where it is no request for `endpoint`."""
    if len(text) > LONGEST_LINE:
        return _faulty(number, None, "line_too_long", f"line {number} is longer than {LONGEST_LINE:,} bytes")
    try:
        row = from_json(text)
    except ValueError as error:
        return _faulty(number, None, "invalid_json_line", f"line {number} is not JSON: {error}")
    if not isinstance(row, dict):
        return _faulty(number, None, "invalid_request", f"line {number} is not a JSON object")
    given = row.get("custom_id")
    custom_id = given if isinstance(given, str) and given else None
    for param, code, wrong, message in _checks(row, endpoint):
        if wrong:
            return _faulty(number, custom_id, code, f"line {number}: {message}", param)
    return Line(number, custom_id, row["body"])


def _checks(row: dict[str, Any], endpoint: str) -> Iterator[tuple[str, str, bool, str]]:
    """(parameter, code, whether it is wrong, what is wrong)"""
    given, url, body = row.get("custom_id"), row.get("url"), row.get("body")
    yield "custom_id", "missing_required_parameter", not (given and isinstance(given, str)), "custom_id must be a text"
    yield "method", "invalid_method", row.get("method") != "POST", "method must be POST"
    yield "url", "mismatched_endpoint", url != endpoint, f"url is {url!r}, and the batch is for {endpoint}"
    yield "body", "invalid_request", not isinstance(body, dict), "body must be an object"
    streamed = isinstance(body, dict) and bool(body.get("stream"))
    yield "body.stream", "invalid_request", streamed, "a request of a batch cannot be streamed"


def repeated(line: Line) -> Line:
    """The line of an id that an earlier line has."""
    message = f"line {line.number}: the custom_id {line.custom_id!r} is there already"
    return _faulty(line.number, line.custom_id, "duplicate_custom_id", message, "custom_id")


def _faulty(number: int, custom_id: str | None, code: str, message: str, param: str | None = None) -> Line:
    return Line(number, custom_id, {}, BatchError(code=code, message=message, param=param, line=number))
