"""Files in a folder: what a crash leaves, and what large ones cost."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import tracemalloc
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import NotFound, ProviderUnavailable, StoreUnavailable
from tests.contracts.test_files import Place, run_file

MEGABYTE = 1024 * 1024
KILLED_WHILE_UPLOADING = """
import asyncio, io, os, sys
from stack_core import Stack
from tests.contracts.test_files import Place, run_file
from pathlib import Path

class Endless(io.BytesIO):
    def seek(self, offset, whence=0): return 0
    def read(self, most=-1):
        print("reading", flush=True)
        return b"x" * most

async def main():
    folder = Path(sys.argv[1])
    place = Place("inline::localfs", {"storage_dir": str(folder / "files")}, set)
    async with Stack.open(run_file(place, folder)) as stack:
        await stack.files.create_file(file=("a", Endless()), purpose="batch")

asyncio.run(main())
"""


def _place(folder: Path) -> Place:
    files = folder / "files"
    return Place("inline::localfs", {"storage_dir": str(files)}, lambda: {p.name for p in files.iterdir()})


@pytest.mark.slow
async def test_a_process_killed_while_uploading_leaves_nothing_to_see(tmp_path: Path) -> None:
    script = tmp_path / "upload.py"
    script.write_text(KILLED_WHILE_UPLOADING)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    child = await asyncio.create_subprocess_exec(sys.executable, str(script), str(tmp_path), stdout=PIPE, env=env)
    assert child.stdout is not None
    for _ in range(5):
        assert await child.stdout.readline()
    child.kill()
    await child.communicate()
    place = _place(tmp_path)
    assert len(place.contents()) == 1
    async with Stack.open(run_file(place, tmp_path)) as stack:
        assert (await stack.files.list_files()).data == []
        assert len(place.contents()) == 1, "it might be another process's that still uploads"
    for part in (tmp_path / "files").iterdir():
        os.utime(part, (time.time() - 90_000,) * 2)
    async with Stack.open(run_file(place, tmp_path)):
        assert place.contents() == set(), "after a day nobody uploads any more"


async def test_content_that_is_gone_is_not_found_and_can_be_deleted(tmp_path: Path) -> None:
    place = _place(tmp_path)
    async with Stack.open(run_file(place, tmp_path)) as stack:
        file = await stack.files.create_file(file=b"x", purpose="batch")
        (tmp_path / "files" / file.id).unlink()
        with pytest.raises(NotFound, match="not found"):
            await stack.files.get_file_content(file.id)
        await stack.files.delete_file(file.id)
        assert (await stack.files.list_files()).data == []


async def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file")
    async with Stack.open(run_file(_place(tmp_path), tmp_path)) as stack:
        with pytest.raises(ProviderUnavailable, match="cannot be used"):
            await stack.files.list_files()


async def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = _place(tmp_path)
    async with Stack.open(run_file(place, tmp_path)) as stack:

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("stack_core.providers.files.localfs.os.fsync", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            await stack.files.create_file(file=b"x", purpose="batch")
        monkeypatch.undo()
        assert place.contents() == set()
        assert (await stack.files.list_files()).data == []


async def test_a_file_stays_as_long_as_the_run_file_says(tmp_path: Path) -> None:
    place = _place(tmp_path)
    place.config["ttl_secs"] = 100
    async with Stack.open(run_file(place, tmp_path)) as stack:
        file = await stack.files.create_file(file=b"x", purpose="batch")
    assert file.expires_at == file.created_at + 100


@pytest.mark.slow
async def test_two_hundred_megabytes_take_few(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as large:
        for _ in range(200):
            large.write(os.urandom(MEGABYTE))
        async with Stack.open(run_file(_place(tmp_path), tmp_path)) as stack:
            tracemalloc.start()
            file = await stack.files.create_file(file=("large.bin", large), purpose="user_data")
            content: Any = await stack.files.get_file_content(file.id)
            size = 0
            async for piece in content.chunks():
                size += len(piece)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert file.bytes == size == 200 * MEGABYTE
    assert peak < 16 * MEGABYTE
