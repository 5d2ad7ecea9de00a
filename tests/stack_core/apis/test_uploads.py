"""Uploads: what a caller may hand in as a file, and who closes it."""

from __future__ import annotations

import io
import os
from pathlib import Path

from stack_core.apis._content import PIECE, Upload


def open_files() -> set[str]:
    """The places of the files that this process has open."""
    folder = Path("/proc/self/fd")
    return {os.readlink(link) for link in folder.iterdir() if link.is_symlink()}


async def test_a_path_is_open_only_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"x" * (2 * PIECE))
    upload = Upload.of(path)
    assert await upload.size() == 2 * PIECE
    assert [len(piece) async for piece in upload.chunks()] == [PIECE, PIECE]
    assert [len(piece) async for piece in upload.chunks()] == [PIECE, PIECE]  # once more from its beginning
    assert str(path) not in open_files()


async def test_a_path_that_is_left_early_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"x" * (2 * PIECE))
    pieces = Upload.of(path).chunks()
    await anext(pieces)
    assert str(path) in open_files()
    await pieces.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert str(path) not in open_files()


async def test_an_open_file_stays_its_owners(tmp_path: Path) -> None:
    file = io.BytesIO(b"abc")
    file.read()
    assert [piece async for piece in Upload.of(("a.txt", file)).chunks()] == [b"abc"]
    assert not file.closed
