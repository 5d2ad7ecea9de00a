"""PostgreSQL: the `Sql` protocol on a database, by a few connections that are made when they are needed.

A write that returned is as durable as the server's `synchronous_commit` says. A server that goes away makes calls
fail with `StoreUnavailable`; once it is back, the next call makes a new connection. No call waits longer than the
limits below.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlencode

import asyncpg

from stack_core.errors import Conflict, InvalidRequest, StackError, StoreUnavailable
from stack_core.storage._postgres_queue import Queue
from stack_core.storage._postgres_text import text
from stack_core.storage._sql_text import VERSIONS, Found, check_names, find_table
from stack_core.storage.addresses import PostgresAddress
from stack_core.storage.sql import Row, Table, Where

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""How long a statement may take, and how long one may wait for others to leave it a connection."""
UPGRADE_SECONDS = 1800.0
"""How long making a table may take: an index on many rows, or another process that does the same."""
MOST_CONNECTIONS = 10
TRIES = 3
"""How often a statement is sent that PostgreSQL gave up to end a deadlock: nothing of it was done."""
ROWS_ENCODED_HERE = 50
"""More rows, and those with JSON still to be made, are encoded in a thread."""
_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
    TimeoutError,
)
_ENSURING = 7_236_201_145
"""The number of the lock under which tables are made, so that two processes do not make one at once."""

_HINTS = (
    ("28", "check user and password of the storage backend"),
    ("3D", "make the database (createdb), or name another as db"),
    ("42501", "grant the user what it needs, such as: GRANT CREATE ON SCHEMA public TO …"),
    ("42P01", "it was removed meanwhile; call again, it is made anew"),
    ("53", "give the server more room or more connections"),
    ("57", "it stops, starts or ended the statement; try again soon"),
)
"""How a SQLSTATE begins, and what to do about it."""


@asynccontextmanager
async def open_postgres(address: PostgresAddress) -> AsyncIterator[PostgresSql]:
    """The tables of a database. Connects at the first call.

    Raises:
        StoreUnavailable: the address cannot be used, such as a `ca_cert_path` that cannot be read.
    """
    try:
        pool = await asyncpg.create_pool(
            _transport(address),
            host=address.host,
            port=address.port,
            database=address.db,
            user=address.user,
            password=address.password.get_secret_value() if address.password else None,
            min_size=0,
            max_size=MOST_CONNECTIONS,
            timeout=CONNECT_SECONDS,
            command_timeout=ANSWER_SECONDS,
            reset=_as_it_is,
        )
    except (OSError, ValueError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable(
            f"{address} cannot be used: {error}", "check the fields of the storage backend"
        ) from None
    sql = PostgresSql(pool, str(address))
    try:
        yield sql
    finally:
        await sql.close()


class PostgresSql:
    """Tables in a PostgreSQL database."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], place: str) -> None:
        self._pool, self._place = pool, place
        self._tables: dict[str, Table] = {}
        self._queue = Queue(self._put)

    async def ensure(self, table: Table) -> None:
        """Create the table, or bring an older one to this version, in one transaction."""
        if self._tables.get(table.name) == table:
            return
        check_names(table)
        await self._run(lambda connection: _ensure(connection, table, self._place))
        self._tables[table.name] = table

    async def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows, all or none; with `replace` a row of the same primary key is overwritten."""
        if rows:
            await self._put(self._table(table), rows, replace)

    def enqueue(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows without waiting; False where too many wait already. Call it on the event loop."""
        return self._queue.add(self._table(table), rows)

    async def flush(self) -> None:
        """Wait until everything that was enqueued before is in the database."""
        await self._queue.flush()

    async def select(
        self,
        table: str,
        where: Sequence[Where] = (),
        *,
        order: Sequence[tuple[str, Literal["asc", "desc"]]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """Matching rows; null sorts before every value."""
        shape = self._table(table)
        query, values = text.select(shape, where, order, limit, offset)
        found: list[asyncpg.Record] = await self._run(lambda connection: connection.fetch(query, *values))
        return text.decode(shape, found)

    async def update(self, table: str, values: Mapping[str, Any], where: Sequence[Where]) -> int:
        """Change matching rows; gives their number."""
        return await self._change(*text.update(self._table(table), values, where))

    async def delete(self, table: str, where: Sequence[Where]) -> int:
        """Remove matching rows; gives their number."""
        return await self._change(*text.delete(self._table(table), where))

    async def close(self) -> None:
        """Write what waits, then close the connections."""
        await self._queue.close()
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def _put(self, table: Table, rows: Sequence[Mapping[str, Any]], replace: bool) -> None:
        try:
            if len(rows) > ROWS_ENCODED_HERE or any(callable(value) for row in rows for value in row.values()):
                columns = await asyncio.to_thread(text.encode_columns, table, rows, replace=replace)
            else:
                columns = text.encode_columns(table, rows, replace=replace)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"a value cannot be stored: {error}") from error
        statement = text.insert(table, replace=replace)
        await self._run(lambda connection: connection.execute(statement, *columns))

    async def _change(self, statement: str, values: list[Any]) -> int:
        status = await self._run(lambda connection: connection.execute(statement, *values))
        return int(status.rpartition(" ")[2])

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work` on a connection of the pool; every failure comes out as an error of ours."""
        for left in reversed(range(TRIES)):
            try:
                async with self._pool.acquire(timeout=ANSWER_SECONDS) as connection:
                    return await work(connection)
            except _FAILURES as error:
                if not (isinstance(error, asyncpg.DeadlockDetectedError) and left):
                    raise self._translated(error) from error
        raise AssertionError("the last try returns or raises")

    def _translated(self, error: Exception) -> StackError:
        if isinstance(error, asyncpg.UniqueViolationError):
            return Conflict(f"a row with this key exists already ({error})")
        if isinstance(error, asyncpg.IntegrityConstraintViolationError):
            return InvalidRequest(f"the row breaks a rule of its table ({error})")
        if isinstance(error, asyncpg.DataError):
            return InvalidRequest(f"a value cannot be stored: {error}")
        if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedColumnError):
            self._tables.clear()
        state = str(getattr(error, "sqlstate", None) or "")
        hint = next((hint for begins, hint in _HINTS if state.startswith(begins)), None)
        said = "it did not answer in time" if isinstance(error, TimeoutError) else f"{error}"
        return StoreUnavailable(
            f"the store {self._place} cannot be used: {said or type(error).__name__}",
            hint or "see that the server runs and can be reached, then call again",
        )

    def _table(self, name: str) -> Table:
        return find_table(self._tables, name, self._place)


async def _ensure(connection: Connection, table: Table, place: str) -> None:
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StoreUnavailable(f"{place} keeps text as {encoding}", "make a database with ENCODING 'UTF8'")
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _ENSURING, timeout=UPGRADE_SECONDS)
        if not await _names(connection, VERSIONS.name):
            await connection.execute(text.create(VERSIONS))
        query, values = text.select(VERSIONS, [Where("name", "=", table.name)])
        known = await connection.fetchrow(query, *values)
        names = await _names(connection, table.name)
        found = Found(exists=bool(names), version=int(known["version"]) if known else None, indexes=names)
        for statement in text.upgrade(table, found, place):
            await connection.execute(statement, timeout=UPGRADE_SECONDS)
        if found.version != table.version:
            row = {"name": table.name, "version": table.version}
            columns = text.encode_columns(VERSIONS, [row], replace=True)
            await connection.execute(text.insert(VERSIONS, replace=True), *columns)


async def _names(connection: Connection, table: str) -> set[str]:
    """The names of a table (or view) of the schema and of its indexes; none where there is no such table."""
    found = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND (relname = $1 OR oid IN "
        "(SELECT indexrelid FROM pg_index JOIN pg_class t ON t.oid = indrelid "
        "WHERE t.relname = $1 AND t.relnamespace = current_schema()::regnamespace))",
        table,
    )
    return {row["relname"] for row in found}


def _transport(address: PostgresAddress) -> str:
    """What the driver takes only as part of a URL."""
    if address.ca_cert_path and not Path(address.ca_cert_path).is_file():
        raise StoreUnavailable(f"{address} cannot be used: there is no {address.ca_cert_path}", "check ca_cert_path")
    given = {"sslmode": address.ssl_mode, "sslrootcert": address.ca_cert_path}
    return f"postgresql://?{urlencode({name: value for name, value in given.items() if value})}"


async def _as_it_is(_: object) -> None:
    """Nothing here changes a session, so that a connection goes back without a round trip."""
