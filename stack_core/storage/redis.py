"""Redis: the `KeyValue` protocol on a server.

A sorted set holds the keys, all with the score 0, which Redis orders by their bytes: for UTF-8 the order of code
points. A hash beside it holds the values. Both change in one transaction. A write that returned is as durable as the
server's `appendonly` says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import redis.asyncio as client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, TimeoutError

from stack_core.errors import InvalidRequest, StoreUnavailable
from stack_core.storage.addresses import RedisAddress

T = TypeVar("T")

KEYS, VALUES = "{stack_kv}:keys", "{stack_kv}:values"
"""The braces keep both on one node of a cluster."""
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
MOST_CONNECTIONS = 16
MOST_IN_SCAN = 1_000
"""Pairs read in one go, so that a long scan does not hold other clients up."""

_SCAN = """
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', KEYS[2], key)
end
return found
"""
_AFTER_UTF8 = b"\xff"
"""A byte that is in no UTF-8, and above all that are."""


@asynccontextmanager
async def open_redis(address: RedisAddress) -> AsyncIterator[RedisKeyValue]:
    """The keys of a server. Connects at the first call.

    Raises:
        StoreUnavailable: the url cannot be read.
    """
    limits: dict[str, Any] = {
        "max_connections": MOST_CONNECTIONS,
        "timeout": ANSWER_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    try:
        if address.url is not None:
            pool = client.BlockingConnectionPool.from_url(address.url.get_secret_value(), **limits)
        else:
            pool = client.BlockingConnectionPool(host=address.host, port=address.port, **limits)
    except ValueError:  # its text may hold a part of the url
        raise StoreUnavailable("the url of a Redis cannot be read", "redis://user:password@host:6379/0") from None
    connections = client.Redis.from_pool(pool)
    try:
        yield RedisKeyValue(connections, str(address))
    finally:
        await connections.aclose()


class RedisKeyValue:
    """Text by key in a Redis server."""

    def __init__(self, connections: client.Redis, place: str) -> None:
        self._redis, self._place = connections, place
        self._scan = connections.register_script(_SCAN)

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        name = _bytes(key)

        async def read() -> Any:
            return await self._redis.execute_command("HGET", VALUES, name)  # type: ignore[no-untyped-call]  # redis-py has no types for it

        value = await self._run(read)
        return None if value is None else value.decode()

    async def set(self, key: str, value: str) -> None:
        """Store or replace."""
        name, kept = _bytes(key), _bytes(value)

        async def write() -> None:
            async with self._redis.pipeline(transaction=True) as both:
                both.execute_command("HSET", VALUES, name, kept)
                both.execute_command("ZADD", KEYS, 0, name)
                await both.execute()

        await self._run(write)

    async def delete(self, key: str) -> bool:
        """Remove; says whether it was there."""
        name = _bytes(key)

        async def remove() -> bool:
            async with self._redis.pipeline(transaction=True) as both:
                both.execute_command("HDEL", VALUES, name)
                both.execute_command("ZREM", KEYS, name)
                return bool((await both.execute())[0])

        return await self._run(remove)

    async def scan(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> list[tuple[str, str]]:
        """Pairs whose key begins with `prefix` and is greater than `after`, by key, at most `limit`."""
        head, last = _bytes(prefix), None if after is None else _bytes(after)
        found: list[tuple[str, str]] = []
        while limit is None or len(found) < limit:
            room = MOST_IN_SCAN if limit is None else min(MOST_IN_SCAN, limit - len(found))
            pairs = await self._part(head, last, room)
            found += [(key.decode(), value.decode()) for key, value in pairs]
            if len(pairs) < room:
                break
            last = pairs[-1][0]
        return found

    async def _part(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        start = b"[" + prefix if after is None or after < prefix else b"(" + after

        async def read() -> Any:
            return await self._scan(keys=[KEYS, VALUES], args=[start, b"(" + prefix + _AFTER_UTF8, limit])

        flat = await self._run(read)
        return list(zip(flat[::2], flat[1::2], strict=True))

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`; every failure comes out as an error of ours."""
        try:
            return await work()
        except (RedisError, OSError) as error:
            hint = "see that the server runs and can be reached, then call again"
            if isinstance(error, AuthenticationError):
                hint = "give user and password in the url: redis://user:password@host:6379/0"
            said = "it did not answer in time" if isinstance(error, TimeoutError) else f"{error}"
            raise StoreUnavailable(f"the store {self._place} cannot be used: {said}", hint) from error


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"a value cannot be stored: {error}") from error
