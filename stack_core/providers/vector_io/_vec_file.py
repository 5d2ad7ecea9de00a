"""A SQLite file with sqlite-vec, by apsw: one thread writes, in groups, and threads read.

apsw brings its own SQLite: many builds of Python's sqlite3 cannot load extensions. The file is in WAL mode with
`synchronous = NORMAL`, as the stack's other stores: a write that returned survives the end of the process. Reads and
writes of several processes see each other.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stack_core.errors import StackError, StoreUnavailable
from stack_core.storage._sqlite_open import BUSY_SECONDS, MEMORY, unavailable

if TYPE_CHECKING:
    import apsw

T = TypeVar("T")
MOST_IN_GROUP = 64
"""Writes in one transaction."""
READERS = 2
READ_CACHE = 32 * 1024
"""KiB that each reader keeps of the file: the vectors of small collections are then searched without reading it."""


@dataclass(slots=True, eq=False)
class _Write:
    work: Callable[[apsw.Connection], Any]
    future: Future[Any]
    result: Any = None
    error: Exception | None = None


class VecFile:
    """An open file; `:memory:` is each time its own. Making one blocks.

    Raises:
        StoreUnavailable: it cannot be opened or written.
    """

    def __init__(self, path: str) -> None:
        self.path = path if path == MEMORY else os.path.realpath(Path(path).expanduser())
        self._waiting: list[_Write] = []
        self._gate = threading.Lock()
        self._local = threading.local()
        self._connections: list[apsw.Connection] = []
        try:
            if self.path != MEMORY:
                Path(self.path).parent.mkdir(0o700, parents=True, exist_ok=True)
            self._connection = self._connect(writes=True)
        except Exception as error:
            raise self._translated(error) from error
        self._inode = self._inode_now()
        self._writer = ThreadPoolExecutor(1, "stack-vec-write")
        self._readers = self._writer if self.path == MEMORY else ThreadPoolExecutor(READERS, "stack-vec-read")

    def gone(self) -> bool:
        """Whether another file, or none, has taken this one's place: what is written here would be lost."""
        return self._inode != self._inode_now()

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a transaction of the writer; gives its result once it is in the file. Where it fails, nothing
        of it is kept."""
        write = _Write(work, Future())
        with self._gate:
            self._waiting.append(write)
        self._submit(self._writer, self._drain)
        result: T = await asyncio.wrap_future(write.future)
        return result

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` on one state of the file, which has every write that returned."""
        return await asyncio.wrap_future(self._submit(self._readers, lambda: self._read(work)))

    def close(self) -> None:
        """Write what waits, then close. Waits for the threads."""
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in reversed(self._connections):  # the writing one last: it folds the log into the file
            connection.close()

    def _submit(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
        try:
            return threads.submit(work)
        except RuntimeError as error:
            raise StoreUnavailable(f"the store {self.path} is closed", "open the stack again") from error

    def _connect(self, *, writes: bool) -> apsw.Connection:
        import apsw
        import sqlite_vec  # type: ignore[import-untyped]  # it has no types

        connection = apsw.Connection(self.path)
        try:
            connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
            connection.enable_load_extension(True)
            connection.load_extension(sqlite_vec.loadable_path())
            connection.enable_load_extension(False)
            if writes:
                _to_wal(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA journal_size_limit = 67108864")
                connection.execute("BEGIN IMMEDIATE")  # fails where the file is read-only
                connection.execute("ROLLBACK")
            else:
                connection.execute("PRAGMA query_only = ON")
                connection.execute(f"PRAGMA cache_size = -{READ_CACHE}")
        except BaseException:
            connection.close()
            raise
        self._connections.append(connection)
        return connection

    def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            connection = self._connection if self._readers is self._writer else self._own()
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except Exception as error:
            raise self._translated(error) from error

    def _own(self) -> apsw.Connection:
        found: apsw.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._connect(writes=False)
        return found

    def _drain(self) -> None:
        """One transaction for all who wait; each call of `write` brings one drain, so that many find nothing left."""
        with self._gate:
            group, self._waiting = self._waiting[:MOST_IN_GROUP], self._waiting[MOST_IN_GROUP:]
        group = [write for write in group if write.future.set_running_or_notify_cancel()]
        if not group:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for write in group:
                self._apply(write)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the edge of the thread: every fault must reach its callers
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for write in group:
                write.error = write.error or self._translated(error)
        for write in group:
            if write.error is not None:
                write.future.set_exception(write.error)
            else:
                write.future.set_result(write.result)

    def _apply(self, write: _Write) -> None:
        """A write in the open transaction. One that fails leaves the others of its group alone."""
        self._connection.execute("SAVEPOINT one")
        try:
            write.result = write.work(self._connection)
        except Exception as error:
            write.error = self._translated(error)
            if not self._connection.in_transaction:  # SQLite gave the whole transaction up: full disk, broken file
                raise
            self._connection.execute("ROLLBACK TO one")
        self._connection.execute("RELEASE one")

    def _translated(self, error: Exception) -> Exception:
        import apsw

        if isinstance(error, StackError):
            return error
        if isinstance(error, apsw.Error | OSError | json.JSONDecodeError):
            text = f"malformed JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)
            return unavailable(self.path, OSError(text))
        return error

    def _inode_now(self) -> int:
        if self.path == MEMORY:
            return 0
        try:
            return Path(self.path).stat().st_ino
        except OSError:
            return -1


def _to_wal(connection: apsw.Connection) -> None:
    """Switch to the write-ahead log. Two processes that do it to a new file at once may be refused without waiting."""
    import apsw

    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
