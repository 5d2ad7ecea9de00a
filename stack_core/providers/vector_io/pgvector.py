"""Vectors and words in PostgreSQL, by pgvector and PostgreSQL's own text search."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stack_core.apis.providers import ProviderId
from stack_core.apis.vector_io import Entry, Filter, Hit, VectorIndex
from stack_core.errors import Conflict, InvalidRequest, ProviderUnavailable, StackError, StoreUnavailable, UnknownId
from stack_core.providers._registry import provider
from stack_core.providers.vector_io._batch import Array, Batch, direction, directions, positive
from stack_core.providers.vector_io._filters import storable
from stack_core.providers.vector_io._jsonb import from_jsonb, given, kept, to_jsonb, to_postgres
from stack_core.storage.references import KVReference

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")
VERSION = 1
"""Of the tables. A collection of a later version is refused."""
MOST_DIMENSIONS = 16_000
"""Of pgvector."""
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
WORDS_A_PART, LONGEST_WORD, MOST_WORDS = 4_000, 60, 500
"""A text vector of PostgreSQL has at most 16,383 places, 1 MiB and words of 2,046 bytes; longer texts go in parts."""
_MAKING = 7_236_201_146
"""The number of the lock under which the catalog is made, so that two processes do not make it at once."""
_HIT = "entry.id, entry.text, entry.attributes::text AS attributes, entry.payload"
_BM25 = """WITH every AS (SELECT count(*) AS many, avg(length) AS usual FROM {words}),
    hit AS (SELECT part.number, one.lexeme, cardinality(one.positions)::float8 AS times, part.length
        FROM {words} AS part, unnest(part.words) AS one
        WHERE part.words @@ $2::text::tsquery AND one.lexeme = ANY($1::text[])),
    rare AS (SELECT lexeme, ln(1 + (many - n + 0.5) / (n + 0.5)) AS worth
        FROM every, (SELECT lexeme, count(*) AS n FROM hit GROUP BY lexeme) AS counted),
    found AS (SELECT hit.number,
            sum(worth * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * hit.length / usual)))::float8 AS score
        FROM hit JOIN rare USING (lexeme), every GROUP BY hit.number)"""
"""Scores of the entries with any of the words $1, which $2 has as a query; k1 is 1.2 and b 0.75, as FTS5 has them."""
_WORD = re.compile(r"\w+")


class _Tables(NamedTuple):
    """The tables of a collection; `words` has a row or more for each entry, by its number."""

    number: int
    dimension: int

    @property
    def entries(self) -> str:
        return f"stack_entries_{self.number}"

    @property
    def words(self) -> str:
        return f"stack_words_{self.number}"


@provider("remote::pgvector", packages=("asyncpg",), extra="postgres")
class PgVector(VectorIndex):
    """Exact search by pgvector, words by PostgreSQL's text search and BM25, filters in SQL.

    The database needs the extension `vector`; a user who may is let make it. Every process sees the others' writes.
    """

    class Config(BaseModel):
        """The database. It keeps its own list of collections, so Llama Stack's `persistence` is not needed."""

        model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
        host: str = "localhost"
        port: int = 5432
        db: str = "postgres"
        user: str = "postgres"
        password: SecretStr | None = None
        persistence: KVReference | None = Field(None, description="Not needed: the database lists its collections.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        self._config, self._provider_id = config, str(provider_id)
        self._place = f"PostgreSQL {config.host}:{config.port}/{config.db}"
        self._opening = asyncio.Lock()
        self._opened: asyncpg.Pool[asyncpg.Record] | None = None

    async def __aenter__(self) -> PgVector:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            try:
                await asyncio.wait_for(self._opened.close(), CONNECT_SECONDS)
            except TimeoutError:
                self._opened.terminate()

    async def create(self, collection: str, dimension: int) -> None:
        """Make a collection; one of the same dimension that is there already is kept."""
        storable(collection, collection)
        if not 1 <= dimension <= MOST_DIMENSIONS:
            raise InvalidRequest(
                f"pgvector takes vectors of 1 to {MOST_DIMENSIONS} dimensions, not of {dimension}",
                "give the embedding model's dimension",
            )
        await self._run(lambda connection: _create(connection, collection, dimension))

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries."""
        await self._run(lambda connection: _drop(connection, collection))

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries, all or none; one of the same id is replaced."""
        await self._run(lambda connection: _put(connection, collection, entries))

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries."""

        async def work(connection: Connection) -> None:
            tables = await _tables(connection, collection, alone=True)
            await connection.execute(f"DELETE FROM {tables.entries} WHERE id = ANY($1)", _ids(ids))

        await self._run(work)

    async def nearest(
        self, collection: str, vector: Sequence[float], most: int, where: Filter | None = None
    ) -> list[Hit]:
        """The entries nearest to a vector by cosine similarity, best first."""

        async def work(connection: Connection) -> list[Hit]:
            tables = await _tables(connection, collection)
            values: list[Any] = [direction(vector, tables.dimension), positive(most)]
            # of vectors of length one the negative inner product, which <#> gives, is the cosine
            query = f"""SELECT {_HIT}, -(entry.vector <#> $1) AS score FROM {tables.entries} AS entry
                WHERE {_condition(where, values)} ORDER BY entry.vector <#> $1 LIMIT $2"""
            return [_hit(row, min(1.0, max(-1.0, row["score"]))) for row in await connection.fetch(query, *values)]

        return await self._run(work)

    async def matching(self, collection: str, words: str, most: int, where: Filter | None = None) -> list[Hit]:
        """The entries whose text has any of these words, by BM25."""
        found = list(dict.fromkeys(_words(words)))[:MOST_WORDS]

        async def work(connection: Connection) -> list[Hit]:
            tables = await _tables(connection, collection)
            if not found:
                return []
            values: list[Any] = [found, " | ".join(f"'{word}'" for word in found), positive(most)]
            query = f"""{_BM25.format(words=tables.words)}
                SELECT {_HIT}, found.score FROM {tables.entries} AS entry JOIN found ON found.number = entry.number
                WHERE {_condition(where, values)} ORDER BY found.score DESC, entry.number LIMIT $3"""
            return [_hit(row, row["score"]) for row in await connection.fetch(query, *values)]

        return await self._run(work)

    async def entries(
        self, collection: str, ids: Sequence[str] | None = None, where: Filter | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries in the order of their putting."""

        async def work(connection: Connection) -> list[Entry]:
            tables = await _tables(connection, collection)
            values: list[Any] = [None if ids is None else _ids(ids), limit]
            query = f"""SELECT {_HIT}, entry.vector, entry.length FROM {tables.entries} AS entry
                WHERE ($1::text[] IS NULL OR entry.id = ANY($1)) AND {_condition(where, values)}
                ORDER BY entry.number LIMIT $2"""
            return [_entry(row) for row in await connection.fetch(query, *values)]

        return await self._run(work)

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work` in a transaction; every failure of the database comes out as an error of ours."""
        import asyncpg

        try:
            async with (await self._pool()).acquire(timeout=CONNECT_SECONDS) as connection, connection.transaction():
                return await work(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, EOFError, TimeoutError) as error:
            raise self._translated(error) from error

    async def _pool(self) -> asyncpg.Pool[asyncpg.Record]:
        import asyncpg

        async with self._opening:
            if self._opened is None:
                password = self._config.password
                pool = asyncpg.create_pool(
                    host=self._config.host,
                    port=self._config.port,
                    database=self._config.db,
                    user=self._config.user,
                    password=password.get_secret_value() if password else None,
                    min_size=0,
                    timeout=CONNECT_SECONDS,
                    command_timeout=ANSWER_SECONDS,
                    init=_prepare,
                )
                self._opened = await pool
            return self._opened

    def _translated(self, error: Exception) -> StackError:
        said = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        state = str(getattr(error, "sqlstate", None) or "")
        hint = next((hint for begins, hint in _HINTS if state.startswith(begins)), None)
        return ProviderUnavailable(
            f"{self._place} cannot be used: {said}",
            hint or "see that the server runs and can be reached, then call again",
            provider_id=self._provider_id,
        )


_HINTS = (
    ("28", "check user and password of the provider"),
    ("3D", "make the database (createdb), or name another as db"),
    ("0A000", "install pgvector on the server: the extension is called vector"),
    ("58P01", "install pgvector on the server: the extension is called vector"),
    ("42501", "let an administrator run CREATE EXTENSION vector, and grant the user CREATE on the schema"),
    ("42P01", "the collection was dropped meanwhile; call again"),
    ("53", "give the server more room or more connections"),
)
"""How a SQLSTATE begins, and what to do about it."""


async def _prepare(connection: Any) -> None:
    """A new connection: the extension and the catalog are there, and vectors go as bytes."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MAKING)
        if not await connection.fetchval("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            await connection.execute("CREATE EXTENSION vector")
        if await connection.fetchval("SELECT to_regclass('stack_vector_collections')") is None:
            await connection.execute(
                "CREATE TABLE stack_vector_collections (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " name TEXT NOT NULL UNIQUE, dimension INTEGER NOT NULL, version INTEGER NOT NULL)"
            )
    schema = await connection.fetchval(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
    )
    await connection.set_type_codec("vector", schema=schema, encoder=_to_bytes, decoder=_from_bytes, format="binary")


def _to_bytes(vector: Array) -> bytes:
    return len(vector).to_bytes(2, "big") + b"\0\0" + vector.astype(">f4").tobytes()


def _from_bytes(data: bytes) -> Array:
    return np.frombuffer(data, ">f4", offset=4).astype(np.float32)


async def _create(connection: Connection, collection: str, dimension: int) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _MAKING)
    try:
        found = await _tables(connection, collection)
    except UnknownId:
        row = await connection.fetchval(
            "INSERT INTO stack_vector_collections(name, dimension, version) VALUES ($1, $2, $3) RETURNING number",
            kept(collection),
            dimension,
            VERSION,
        )
        made = _Tables(row, dimension)
        await connection.execute(
            f'CREATE TABLE {made.entries} (number BIGSERIAL PRIMARY KEY, id TEXT COLLATE "C" NOT NULL UNIQUE,'
            " text TEXT NOT NULL, attributes JSONB NOT NULL, payload TEXT NOT NULL, length REAL NOT NULL,"
            f" vector vector({dimension}) NOT NULL)"
        )
        await connection.execute(
            f"CREATE TABLE {made.words} (number BIGINT NOT NULL REFERENCES {made.entries} ON DELETE CASCADE,"
            " length INTEGER NOT NULL, words TSVECTOR NOT NULL)"
        )
        await connection.execute(f"CREATE INDEX ON {made.words} (number)")
        await connection.execute(f"CREATE INDEX ON {made.words} USING gin (words)")
        return
    if found.dimension != dimension:
        raise Conflict(
            f"the collection {collection!r} holds vectors of {found.dimension}, not of {dimension}",
            "name another one, or drop it first",
        )


async def _drop(connection: Connection, collection: str) -> None:
    try:
        found = await _tables(connection, collection, alone=True)
    except UnknownId:
        return
    await connection.execute("DELETE FROM stack_vector_collections WHERE number = $1", found.number)
    await connection.execute(f"DROP TABLE {found.words}, {found.entries}")


async def _put(connection: Connection, collection: str, entries: Sequence[Entry]) -> None:
    tables = await _tables(connection, collection, alone=True)
    if not entries:
        return
    batch = await asyncio.to_thread(Batch.of, entries, tables.dimension)
    units, lengths = directions(batch.vectors)
    await connection.execute(f"DELETE FROM {tables.entries} WHERE id = ANY($1)", _ids(batch.ids))
    rows = await connection.fetch(
        "SELECT nextval(pg_get_serial_sequence($1, 'number')) AS number FROM generate_series(1, $2)",
        tables.entries,
        len(batch),
    )
    numbers = [row["number"] for row in rows]
    attributes = [to_jsonb(row) for row in batch.attributes]
    texts = (map(kept, column) for column in (batch.ids, batch.texts))
    await connection.copy_records_to_table(
        tables.entries,
        records=zip(numbers, *texts, attributes, map(kept, batch.payloads), lengths.tolist(), units, strict=True),
    )
    parts = [(n, *part) for n, text in zip(numbers, batch.texts, strict=True) for part in _text_vectors(text)]
    await connection.executemany(f"INSERT INTO {tables.words} VALUES ($1, $2, $3::text::tsvector)", parts)


async def _tables(connection: Connection, collection: str, *, alone: bool = False) -> _Tables:
    """The tables of a collection; with `alone` no other transaction writes them until this one ends.

    Raises:
        UnknownId: no such collection; names the nearest.
    """
    storable(collection, collection)
    query = "SELECT number, dimension, version FROM stack_vector_collections WHERE name = $1"
    row = await connection.fetchrow(f"{query} FOR UPDATE" if alone else query, kept(collection))
    if row is None:
        names = await connection.fetch("SELECT name FROM stack_vector_collections ORDER BY name")
        raise UnknownId("vector collection", collection, [given(found["name"]) for found in names])
    if row["version"] > VERSION:
        raise StoreUnavailable(
            f"the collection {collection!r} was written by a later version ({row['version']}; this one: {VERSION})",
            "update llama-magics",
        )
    return _Tables(row["number"], row["dimension"])


def _words(text: str) -> list[str]:
    clean = text.encode(errors="ignore").decode().lower()
    return [word for word in _WORD.findall(clean) if len(word) <= LONGEST_WORD]


def _text_vectors(text: str) -> list[tuple[int, str]]:
    """A text as text vectors, a part at a time: how many words it has, and each with its places."""
    words = _words(text)
    out = []
    for start in range(0, len(words), WORDS_A_PART):
        places: dict[str, list[str]] = {}
        for place, word in enumerate(words[start : start + WORDS_A_PART], 1):
            places.setdefault(word, []).append(str(place))
        part = " ".join(f"'{word}':{','.join(found[:255])}" for word, found in places.items())
        out.append((min(WORDS_A_PART, len(words) - start), part))
    return out


def _condition(where: Filter | None, values: list[Any]) -> str:
    return "true" if where is None else to_postgres(where, "entry.attributes", values)


def _ids(ids: Sequence[str]) -> list[str]:
    """Ids that can be in the database; of others there is no entry."""
    return [kept(id) for id in ids if id.isascii() or id == id.encode(errors="ignore").decode()]


def _hit(row: Any, score: float) -> Hit:
    return Hit(given(row["id"]), given(row["text"]), score, from_jsonb(row["attributes"]), given(row["payload"]))


def _entry(row: Any) -> Entry:
    vector = (row["vector"] * np.float32(row["length"])).tolist()
    return Entry(given(row["id"]), given(row["text"]), vector, from_jsonb(row["attributes"]), given(row["payload"]))
