"""Where a database is: the fields of a storage backend, with the names and defaults of Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from stack_core.storage._sqlite_open import Synchronous

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class Address(BaseModel):
    """A database. Two backends of one address share its connections."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SqliteAddress(Address):
    """A file; with `synchronous: full` each group of writes also waits for the disk."""

    db_path: str
    synchronous: Synchronous = "normal"

    @field_validator("db_path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        if "\0" in path:
            raise ValueError("must be the path of a file")
        return path


class PostgresAddress(Address):
    """A PostgreSQL database. `ssl_mode` is libpq's; `ca_cert_path` names the authorities that it trusts."""

    host: str = "localhost"
    port: int = 5432
    db: str = "llamastack"
    user: str = "llamastack"
    password: SecretStr | None = None
    ssl_mode: SslMode | None = None
    ca_cert_path: str | None = None

    def __str__(self) -> str:
        return f"PostgreSQL {self.host}:{self.port}/{self.db}"


class RedisAddress(Address):
    """A Redis server: by host and port, or by a URL (`redis://user:password@host:port/0`, `rediss://…` for TLS)."""

    host: str = "localhost"
    port: int = 6379
    url: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    def __str__(self) -> str:
        return f"Redis {'at its url' if self.url else f'{self.host}:{self.port}'}"


class MongoAddress(Address):
    """A MongoDB database."""

    host: str = "localhost"
    port: int = 27017
    db: str = "llamastack"
    user: str | None = None
    password: SecretStr | None = None

    def __str__(self) -> str:
        return f"MongoDB {self.host}:{self.port}/{self.db}"
