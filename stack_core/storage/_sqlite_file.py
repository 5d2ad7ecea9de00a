"""One SQLite file in this process: a thread that writes, in groups, and threads that read.

Writes queue up. The writer takes all that wait, makes one transaction of them, and only then tells the callers: a call
that returned is in the file. 32 callers at once pay for one commit together. A write that fails (a duplicate key) fails
alone; the others of its group are kept.

`synchronous` is `normal` unless the run file says `full`. With `normal` a write that returned survives the end of the
process, however it ends (SIGKILL too), because the operating system holds it; a power cut may take the last commits but
never breaks the file. With `full` each group also waits for the disk, about 14 ms on an ordinary one.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stack_core.errors import ConfigError, Conflict, InvalidRequest, StoreUnavailable
from stack_core.storage._sqlite_open import MEMORY, Synchronous, connect_reader, connect_writer, unavailable
from stack_core.storage._sqlite_text import text
from stack_core.storage.sql import Table

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]"]

MOST_IN_GROUP = 512
"""Writes in one transaction, so that none waits long behind others."""
MOST_UNWAITED = 20_000
"""Rows that may wait in the queue without a caller who waits for them."""
READERS = 2

_UNFIT = (sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, TypeError, ValueError)
"""What a value raises that SQLite or JSON cannot hold (a lone surrogate is a ValueError)."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Write:
    """A write in the queue: rows to insert, or other work. `waiter` is None where nobody waits for it."""

    waiter: Waiter | None
    work: Work | None = None
    insert: tuple[Table, bool] | None = None
    rows: Sequence[Any] = ()
    values: list[Any] | None = None
    """The rows as parameters, once they are encoded."""
    result: Any = None
    error: Exception | None = None


class SqliteFile:
    """A file that is open for reading and writing. Make it by `opened`, let it go by `release`."""

    def __init__(self, path: str, synchronous: Synchronous) -> None:
        self.path, self.synchronous = path, synchronous
        self.users = 0
        self.tables: dict[str, Table] = {}
        self._unwaited = 0
        self._closed = False
        self._gate = threading.Lock()
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._connection = connect_writer(path, synchronous)
        self._local = threading.local()
        self._read_connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, "stack-store-read") if path != MEMORY else None
        self._thread = threading.Thread(target=self._run, name="stack-store-write", daemon=True)
        self._thread.start()

    async def insert(self, table: Table, rows: Sequence[Any], replace: bool) -> None:
        """Add rows, and wait until they are in the file."""
        await self._wait(lambda waiter: Write(waiter, insert=(table, replace), rows=rows))

    async def write(self, work: Work) -> Any:
        """Run `work` in the writer's transaction; gives its result once it is in the file."""
        return await self._wait(lambda waiter: Write(waiter, work=work))

    def enqueue(self, table: Table, rows: Sequence[Any]) -> bool:
        """Add rows without waiting; False where too many wait already."""
        with self._gate:
            if self._closed or self._unwaited + len(rows) > MOST_UNWAITED:
                return False
            self._unwaited += len(rows)
            self._queue.put(Write(None, insert=(table, True), rows=rows))
        return True

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a connection that sees every write that returned."""
        if self._readers is None:
            result: T = await self.write(work)
            return result
        if self._closed:
            raise self._gone()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def close(self) -> None:
        """Write what waits, then close. Waits for the threads."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        if self._readers is not None:
            self._readers.shutdown()
        for connection in self._read_connections:
            connection.close()
        self._queue.put(None)  # the writing connection goes last, and folds the log into the file
        self._thread.join()

    async def _wait(self, make: Callable[[Waiter], Write]) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._gate:
            if self._closed:
                raise self._gone()
            self._queue.put(make((loop, future)))
        return await future

    def _gone(self) -> StoreUnavailable:
        return StoreUnavailable(f"the store {self.path} is closed", "open the stack again")

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = connect_reader(self.path)
                self._read_connections.append(connection)
            return work(connection)
        except (sqlite3.Error, *_UNFIT) as error:
            raise self._translated(error) from error

    # ---- what the writer's thread does ------------------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            group: list[Write] = []
            item = self._queue.get()
            while item is not None:
                group.append(item)
                if len(group) == MOST_IN_GROUP or self._queue.empty():
                    break
                item = self._queue.get()
            last = item is None
            if group:
                self._commit(group)
                self._tell(group)
        self._connection.close()

    def _commit(self, group: list[Write]) -> None:
        """One transaction for the group; every write knows its result or its error afterwards."""
        try:
            batches = self._batches(group)
            if len(batches) == 1 and self._at_once(batches[0]):
                return
            self._connection.execute("BEGIN IMMEDIATE")
            for batch in batches:
                self._apply(batch)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for write in group:
                write.error = write.error or self._translated(error)

    def _batches(self, group: list[Write]) -> list[list[Write]]:
        """Neighbours that insert into one table become one statement: each costs a wait for the interpreter."""
        batches: list[list[Write]] = []
        room = 0
        for write in group:
            if batches and write.insert and batches[-1][0].insert == write.insert and len(write.rows) <= room:
                batches[-1].append(write)
                room -= len(write.rows)
            else:
                batches.append([write])
                room = text.rows_in_one_insert(write.insert[0]) - len(write.rows) if write.insert else 0
        return batches

    def _at_once(self, batch: list[Write]) -> bool:
        """The whole group is one INSERT: SQLite's own transaction around it will do."""
        if batch[0].insert is None or len(batch[0].rows) > text.rows_in_one_insert(batch[0].insert[0]):
            return False
        error = self._tried(batch)
        if isinstance(error, sqlite3.OperationalError):
            raise error
        return error is None  # else nothing was written, and one by one will show whose fault it is

    def _apply(self, batch: list[Write]) -> None:
        """A batch inside the open transaction, one by one where it fails together."""
        self._connection.execute("SAVEPOINT batch")
        error = self._tried(batch)
        if error is None:
            self._connection.execute("RELEASE batch")
            return
        if not self._connection.in_transaction:  # SQLite gave the whole transaction up: full disk, broken file
            raise sqlite3.OperationalError(str(error)) from error
        self._connection.execute("ROLLBACK TO batch")
        self._connection.execute("RELEASE batch")
        if len(batch) == 1:
            batch[0].error = self._translated(error)
            return
        for write in batch:
            self._apply([write])

    def _tried(self, batch: list[Write]) -> Exception | None:
        try:
            if batch[0].work is not None:
                batch[0].result = batch[0].work(self._connection)
            else:
                self._insert(batch)
        except Exception as error:  # noqa: BLE001 - the edge of the thread: any fault must reach its caller, not end the thread
            return error
        return None

    def _insert(self, batch: list[Write]) -> None:
        assert batch[0].insert is not None
        table, replace = batch[0].insert
        values: list[Any] = []
        for write in batch:
            if write.values is None:
                write.values = text.encode_rows(table, write.rows)
            values += write.values
        width = len(table.columns)
        step = text.rows_in_one_insert(table) * width
        for start in range(0, len(values), step):
            part = values[start : start + step]
            self._connection.execute(text.insert(table, len(part) // width, replace=replace), part)

    def _tell(self, group: list[Write]) -> None:
        """Wake the callers, with one wake-up for each event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Write]] = {}
        for write in group:
            if write.waiter is None:
                with self._gate:
                    self._unwaited -= len(write.rows)
                if write.error is not None:
                    log.warning("%d rows were not stored: %s", len(write.rows), write.error)
            else:
                by_loop.setdefault(write.waiter[0], []).append(write)
        for loop, writes in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, writes)
            except RuntimeError:  # the loop closed: nobody waits any more
                log.debug("an event loop closed before its writes were done")

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.IntegrityError):
            if error.sqlite_errorname in ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"):
                return Conflict(f"a row with this key exists already ({error})")
            return InvalidRequest(f"the row breaks a rule of its table ({error})")
        if isinstance(error, _UNFIT):
            return InvalidRequest(f"a value cannot be stored: {error}")
        return unavailable(self.path, error) if isinstance(error, sqlite3.Error) else error


def _resolve(writes: list[Write]) -> None:
    for write in writes:
        assert write.waiter is not None
        future = write.waiter[1]
        if future.done():  # its caller was cancelled; the row is in the file all the same
            continue
        if write.error is not None:
            future.set_exception(write.error)
        else:
            future.set_result(write.result)


_open: dict[str, SqliteFile] = {}
_opening = threading.Lock()


def opened(path: str, synchronous: Synchronous) -> SqliteFile:
    """The file, opened at its first use in this process and shared after that; `:memory:` is each time its own.

    Raises:
        StoreUnavailable: it cannot be opened or written.
        ConfigError: it is open with another `synchronous`.
    """
    if path == MEMORY:
        file = SqliteFile(MEMORY, synchronous)
        file.users = 1
        return file
    real = os.path.realpath(Path(path).expanduser())
    with _opening:
        file = _open.get(real) or _open.setdefault(real, SqliteFile(real, synchronous))
        if file.synchronous != synchronous:
            raise ConfigError(f"two backends name {real}, with different values of synchronous", "give both the same")
        file.users += 1
        return file


def release(file: SqliteFile) -> None:
    """Let go; the last user closes the file."""
    with _opening:
        file.users -= 1
        if file.users == 0:
            _open.pop(file.path, None)
            file.close()


@atexit.register
def _close_all() -> None:
    """A program that ends without closing its stack still gets its queued rows written."""
    for file in list(_open.values()):
        file.close()
