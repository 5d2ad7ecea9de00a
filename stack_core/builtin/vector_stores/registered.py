"""The vector stores that a run file registers: they are there from the start, for everybody."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field, ValidationError

from stack_core.apis._shapes import Shape
from stack_core.builtin._ground import Ground
from stack_core.builtin.vector_stores import choice
from stack_core.builtin.vector_stores.books import SHARED, Books, Store
from stack_core.errors import ConfigError, Conflict, StackError

log = logging.getLogger(__name__)
KINDS = ("vector_stores", "vector_dbs")


class Row(Shape):
    """A row of `registered_resources.vector_stores`, or of `vector_dbs` as Llama Stack calls it."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    id: str = Field(min_length=1, validation_alias=AliasChoices("vector_store_id", "vector_db_id"))
    name: str | None = Field(None, validation_alias=AliasChoices("vector_store_name", "vector_db_name", "name"))
    provider_id: str | None = None
    embedding_model: str | None = None
    embedding_dimension: int | None = None
    provider_store_id: str | None = Field(
        None, validation_alias=AliasChoices("provider_vector_store_id", "provider_vector_db_id", "provider_resource_id")
    )


async def write_down(ground: Ground, books: Books) -> None:
    """Make a store of each row that has none yet.

    Raises:
        ConfigError: a row cannot be read.
    """
    for kind in KINDS:
        for place, row in enumerate(ground.registered(kind)):
            asked = _row(row, f"registered_resources.{kind}[{place}]")
            if await books.has_store(asked.id):
                continue
            try:
                await _add(ground, books, asked)
            except StackError as error:  # one row that cannot be must not stop the other stores
                log.warning("the vector store %s of the run file is left out: %s", asked.id, error.message)


async def _add(ground: Ground, books: Books, row: Row) -> None:
    model, dimension = row.embedding_model, row.embedding_dimension
    if model is None or dimension is None:  # a row that says both is taken as it is: its model may be away just now
        model, dimension, _ = await choice.embedder(ground, model, dimension)
    provider_id = row.provider_id or choice.provider(ground, None)
    now = int(time.time())
    store = Store(
        id=row.id,
        owner=SHARED,
        created_at=now,
        name=row.name or row.id,
        last_active_at=now,
        provider_id=provider_id,
        embedding_model=model,
        dimension=dimension,
    )
    try:
        await books.add_store(store)
    except Conflict:  # another process of the same run file was first
        return


def _row(row: Mapping[str, Any], where: str) -> Row:
    try:
        asked = Row.model_validate(row)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        path = ".".join([where, *map(str, fault["loc"])])
        raise ConfigError(
            fault["msg"], "a row has vector_store_id, provider_id, embedding_model", where=path
        ) from error
    if asked.provider_store_id not in (None, asked.id):
        raise ConfigError(
            "a collection of another name cannot be taken over",
            "leave it out",
            where=f"{where}.provider_vector_store_id",
        )
    return asked
