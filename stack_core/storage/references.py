"""How a provider's config says where it keeps something: Llama Stack's store references."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class KVReference(BaseModel):
    """A namespace in a key-value backend of the run file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    namespace: str
    backend: str = "kv_default"


class SqlReference(BaseModel):
    """Tables in a backend of the run file; `table_name` begins their names. Llama Stack's two sizes of its write queue
    are read and not needed: writes are grouped."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    table_name: str
    backend: str = "sql_default"
    max_write_queue_size: int | None = None
    num_writers: int | None = None
