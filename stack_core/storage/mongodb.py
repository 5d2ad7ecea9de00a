"""MongoDB: the `KeyValue` protocol on a collection. A document's `_id` is the key, which MongoDB orders by its UTF-8:
the order of code points. A write that returned is in the journal of most of the servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConfigurationError, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from stack_core.errors import InvalidRequest, StoreUnavailable
from stack_core.storage._sql_text import after_prefix
from stack_core.storage.addresses import MongoAddress

T = TypeVar("T")
Document = dict[str, Any]

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
TRIES = 5
"""How often a new key is written that another caller makes at the same moment."""


@asynccontextmanager
async def open_mongodb(address: MongoAddress, collection: str) -> AsyncIterator[MongoKeyValue]:
    """The keys of a collection. Connects at the first call.

    Raises:
        StoreUnavailable: the address cannot be used.
    """
    try:
        connections: AsyncMongoClient[Document] = AsyncMongoClient(
            address.host,
            address.port,
            username=address.user,
            password=address.password.get_secret_value() if address.password else None,
            serverSelectionTimeoutMS=int(CONNECT_SECONDS * 1000),
            connectTimeoutMS=int(CONNECT_SECONDS * 1000),
            socketTimeoutMS=int(ANSWER_SECONDS * 1000),
        )
    except (ConfigurationError, ValueError):
        raise StoreUnavailable(f"{address} cannot be used", "check host, port, user and password") from None
    concern = WriteConcern(w="majority", j=True)
    try:
        kept = connections.get_database(address.db).get_collection(collection, write_concern=concern)
        yield MongoKeyValue(kept, str(address))
    finally:
        await connections.close()


class MongoKeyValue:
    """Text by key in a collection."""

    def __init__(self, collection: AsyncCollection[Document], place: str) -> None:
        self._collection, self._place = collection, place

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        found = await self._run(lambda: self._collection.find_one({"_id": key}))
        return None if found is None else str(found["value"])

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        await self._run(lambda: self._replace(key, value))

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        return (await self._run(lambda: self._collection.delete_one({"_id": key}))).deleted_count > 0

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs whose key begins with `prefix` and is greater than `after`, by key, at most `limit`."""
        if limit == 0:  # for MongoDB a limit of 0 is none
            return []
        within: Document = {"$gte": prefix}
        if after is not None:
            within["$gt"] = after
        if (end := after_prefix(prefix)) is not None:
            within["$lt"] = end
        cursor = self._collection.find({"_id": within}).sort("_id").limit(limit or 0)
        return [(row["_id"], row["value"]) for row in await self._run(cursor.to_list)]

    async def _replace(self, key: str, value: str) -> None:
        for left in reversed(range(TRIES)):
            try:
                await self._collection.replace_one({"_id": key}, {"value": value}, upsert=True)
                return
            except DuplicateKeyError:
                if not left:
                    raise

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`; every failure comes out as an error of ours."""
        try:
            return await work()
        except (BSONError, DocumentTooLarge, UnicodeEncodeError) as error:
            raise InvalidRequest(f"a value cannot be stored: {error}") from error
        except (PyMongoError, OSError) as error:
            refused = isinstance(error, OperationFailure) and error.code in (13, 18)
            raise StoreUnavailable(
                f"the store {self._place} cannot be used: {str(error).partition(', Timeout:')[0]}",
                "check user and password of the storage backend"
                if refused
                else "see that the server runs and can be reached, then call again",
            ) from error
