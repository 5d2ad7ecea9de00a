"""The index behind a store, and the model that embeds for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from stack_core.apis.vector_io import VectorIndex
from stack_core.builtin._ground import Ground
from stack_core.builtin.vector_stores.books import Store
from stack_core.errors import InvalidRequest, NotFound, ProviderUnavailable

TEXTS = 64
"""Texts in one call of the model."""
CALLS = 4
"""Calls of the model at once, for one file."""


class Indexes:
    """Index and embeddings by store."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._ready: set[str] = set()

    async def of(self, store: Store) -> VectorIndex:
        """The index of a store, its collection made where it is not there yet.

        Raises:
            ProviderUnavailable: its provider is not in the run file any more, or did not start.
        """
        serving = self._ground.providers("vector_io").get(store.provider_id)
        if serving is None:
            raise ProviderUnavailable(
                f"vector store {store.id!r} is kept by {store.provider_id!r}, which is not configured",
                f"add it again under providers.vector_io with provider_id: {store.provider_id}",
                provider_id=store.provider_id,
            )
        index: VectorIndex = serving.required()
        if store.id not in self._ready:
            await index.create(store.id, store.dimension)
            self._ready.add(store.id)
        return index

    async def drop(self, store: Store) -> None:
        """Forget everything in a store's index."""
        index = await self.of(store)
        self._ready.discard(store.id)
        await index.drop(store.id)

    async def embed(self, store: Store, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, by the store's model.

        Raises:
            InvalidRequest: the model is gone, or gives vectors of another length than the store's.
        """
        parts = [texts[start : start + TEXTS] for start in range(0, len(texts), TEXTS)]
        if len(parts) == 1:
            return await self._call(store, parts[0])
        vectors: list[list[float]] = []
        for start in range(0, len(parts), CALLS):
            for found in await asyncio.gather(*(self._call(store, part) for part in parts[start : start + CALLS])):
                vectors += found
        return vectors

    async def _call(self, store: Store, texts: Sequence[str]) -> list[list[float]]:
        if store.embedding_model is None:
            raise InvalidRequest(
                f"vector store {store.id!r} has no embedding model", "insert and query with vectors of your own"
            )
        asked: dict[str, Any] = {"dimensions": store.dimension} if store.shorten else {}
        try:
            answer = await self._ground.bound("inference").embeddings(
                model=store.embedding_model, input=list(texts), **asked
            )
        except NotFound as error:
            raise InvalidRequest(
                f"the embedding model of vector store {store.id!r} is not there any more: {error.message}",
                "configure its provider again, or make a new store with another embedding_model",
            ) from error
        vectors = [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]
        if len(vectors) != len(texts):
            raise ProviderUnavailable(f"{store.embedding_model} gave {len(vectors)} vectors for {len(texts)} texts")
        for vector in vectors:
            check_length(store, vector)
        return vectors


def check_length(store: Store, vector: Sequence[float]) -> None:
    """Refuse a vector that does not fit a store.

    Raises:
        InvalidRequest: with both lengths.
    """
    if len(vector) != store.dimension:
        raise InvalidRequest(
            f"vector store {store.id!r} holds vectors of {store.dimension} numbers, and this one has {len(vector)}",
            f"embed with {store.embedding_model}" if store.embedding_model else None,
        )
