"""Opening a SQLite file: folders, checks, settings. A failure names path and fix, and leaves nothing half-made."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Literal

from stack_core.errors import StoreUnavailable

Synchronous = Literal["normal", "full"]
MEMORY = ":memory:"
BUSY_SECONDS = 20.0
"""How long to wait for another process that writes the same file."""


def connect_writer(path: str, synchronous: Synchronous) -> sqlite3.Connection:
    """The one writing connection of a file, which is made with its folders (mode 700) where it is missing.

    Raises:
        StoreUnavailable: with the path and a hint.
    """
    if path == MEMORY:
        return sqlite3.connect(MEMORY, isolation_level=None, check_same_thread=False)
    target = Path(path)
    made = _make_folders(target.parent)
    fresh = not target.exists()
    try:
        return _connect(target, synchronous)
    except (sqlite3.Error, OSError) as error:
        if fresh:
            for name in (path, f"{path}-wal", f"{path}-shm"):
                Path(name).unlink(missing_ok=True)
        _remove(made)
        raise unavailable(path, error) from error


def connect_reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA query_only = ON")
    return connection


def unavailable(path: str, error: Exception) -> StoreUnavailable:
    """What went wrong with a file, in words, with what to do about it."""
    text = str(error)
    low = text.lower()
    if Path(path).is_dir():
        return StoreUnavailable(f"the store {path} is a folder", "name a file in it as db_path")
    if "not a database" in low or "malformed" in low:
        return StoreUnavailable(
            f"the store {path} is damaged or no SQLite file ({text})",
            "move it away or restore a copy; a new one is made at the next start",
        )
    if "locked" in low or "busy" in low:
        return StoreUnavailable(
            f"the store {path} is locked by another program ({text})",
            f"it did not let go for {BUSY_SECONDS:.0f} seconds: close it, or give this stack its own db_path",
        )
    if "full" in low:
        return StoreUnavailable(f"no room left for the store {path} ({text})", "free some disk space")
    return StoreUnavailable(
        f"the store {path} cannot be opened or written ({text})", "choose a db_path in a folder that you may write to"
    )


def _connect(target: Path, synchronous: Synchronous) -> sqlite3.Connection:
    connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        mode = _wal(connection)
        if mode != "wal":
            raise sqlite3.OperationalError(f"its disk cannot hold a write-ahead log, journal mode stays {mode}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'full' else 'NORMAL'}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("BEGIN IMMEDIATE")  # fails where the file is read-only
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def _wal(connection: sqlite3.Connection) -> str:
    """Switch to the write-ahead log. Two processes that do it to a new file at once may be refused without waiting."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _make_folders(folder: Path) -> list[Path]:
    """Make what is missing, readable by its owner alone; gives what was made, outermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    made: list[Path] = []
    try:
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)
            made.append(part)
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder")
    except OSError as error:
        _remove(made)
        raise StoreUnavailable(
            f"the folder {folder} of a store cannot be made ({error.strerror or error})",
            "choose a db_path in a folder that you may write to",
        ) from error
    return made


def _remove(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):  # another program may have put something in
            folder.rmdir()
