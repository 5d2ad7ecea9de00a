"""The types of storage backends: what a run file says of each, what opens it, and the packages it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack_core.errors import ConfigError, MissingPackage, nearest
from stack_core.storage._sql_text import MOST_OF_NAME
from stack_core.storage.addresses import Address, MongoAddress, PostgresAddress, RedisAddress, SqliteAddress
from stack_core.storage.kv import KeyValue
from stack_core.storage.sql import Sql
from stack_core.storage.sqlite import open_sqlite

OWN_TABLE = "stack_"
"""Begins the names of our tables: a run file of Llama Stack may name a database that holds Llama Stack's own tables."""
_PLAIN_NAME = rf"^[A-Za-z_][A-Za-z0-9_]{{0,{MOST_OF_NAME - len(OWN_TABLE) - 1}}}$"


class Namespaced(BaseModel):
    """What every key-value backend may say: a namespace around those that its users name."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    namespace: str | None = None


class KVSqlite(Namespaced, SqliteAddress):
    """Keys in a file."""

    db_path: str = "~/.llama/runtime/kvstore.db"


class SqlSqlite(SqliteAddress):
    """Tables in a file."""

    db_path: str = "~/.llama/runtime/sqlstore.db"


class KVPostgres(Namespaced, PostgresAddress):
    """Keys in a table of a PostgreSQL database."""

    table_name: str = Field("llamastack_kvstore", pattern=_PLAIN_NAME)


class KVMongo(Namespaced, MongoAddress):
    """Keys in a collection of a MongoDB database."""

    collection_name: str = "llamastack_kvstore"


class KVRedis(Namespaced, RedisAddress):
    """Keys in a Redis server."""


def _sqlite(address: SqliteAddress) -> AbstractAsyncContextManager[Sql]:
    return open_sqlite(address.db_path, synchronous=address.synchronous)


def _postgres(address: PostgresAddress) -> AbstractAsyncContextManager[Sql]:
    from stack_core.storage.postgres import open_postgres

    return open_postgres(address)


def _redis(address: RedisAddress) -> AbstractAsyncContextManager[KeyValue]:
    from stack_core.storage.redis import open_redis

    return open_redis(address)


def _mongodb(settings: KVMongo) -> AbstractAsyncContextManager[KeyValue]:
    from stack_core.storage.mongodb import open_mongodb

    return open_mongodb(settings, OWN_TABLE + settings.collection_name)


@dataclass(frozen=True)
class Kind:
    """A type of backend.

    Args:
        settings: its fields in the run file.
        shares: which of them tell one store from another; backends that agree in them share its connections.
        open: gives the store: tables, or text by key where `keys` is set.
    """

    settings: type[Address] | type[Namespaced]
    shares: type[Address]
    open: Callable[[Any], AbstractAsyncContextManager[Any]]
    packages: tuple[str, ...] = ()
    extra: str | None = None
    keys: bool = False

    def missing(self, needed_by: str) -> MissingPackage | None:
        """The error of a package that is not installed (nothing is imported)."""
        for package in self.packages:
            if find_spec(package) is None:
                return MissingPackage(package, needed_by=needed_by, extra=self.extra)
        return None

    def checked(self, given: Mapping[str, Any], where: str) -> Any:
        """The settings of a backend. A null is an unset variable, and left out.

        Raises:
            ConfigError: every fault with its place, without the value.
        """
        plain = {name: value for name, value in given.items() if value is not None and name != "type"}
        try:
            return self.settings.model_validate(plain)
        except ValidationError as error:
            raise self._fault(error, where) from None

    def _fault(self, error: ValidationError, where: str) -> ConfigError:
        names = list(self.settings.model_fields)
        lines = []
        for fault in error.errors(include_input=False, include_url=False):
            name, text = str(fault["loc"][-1]), fault["msg"]
            if fault["type"] == "extra_forbidden":
                close = nearest(name, names)
                text = f"unknown field {name!r}" + (f", did you mean {close[0]!r}?" if close else "")
            lines.append((f"{where}.{name}", text))
        more = "".join(f"; {place}: {text}" for place, text in lines[1:])
        return ConfigError(lines[0][1] + more, f"it may have {', '.join(['type', *names])}", where=lines[0][0])


KINDS = {
    "kv_sqlite": Kind(KVSqlite, SqliteAddress, _sqlite),
    "sql_sqlite": Kind(SqlSqlite, SqliteAddress, _sqlite),
    "kv_postgres": Kind(KVPostgres, PostgresAddress, _postgres, ("asyncpg",), "postgres"),
    "sql_postgres": Kind(PostgresAddress, PostgresAddress, _postgres, ("asyncpg",), "postgres"),
    "kv_redis": Kind(KVRedis, RedisAddress, _redis, ("redis",), "redis", keys=True),
    "kv_mongodb": Kind(KVMongo, KVMongo, _mongodb, ("pymongo",), "mongodb", keys=True),
}
"""Type in the run file → what it is."""
