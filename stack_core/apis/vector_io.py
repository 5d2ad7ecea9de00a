"""Vector IO: chunks with their vectors, put into an index and found again by nearness or by words.

What callers use is `VectorIO`; it and `vector_stores` are answered by the stack itself, which embeds, fuses and keeps
the books. A provider of this API implements `VectorIndex` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import AliasChoices, Field, FiniteFloat, model_validator

from stack_core.apis._declare import route
from stack_core.apis._filters import SearchFilter
from stack_core.apis._interleaved import Interleaved
from stack_core.apis._shapes import Open, Shape, Strict, absent


@dataclass(slots=True)
class Entry:
    """One chunk in an index. `attributes` are the plain values that filters look at (text, number, truth); `payload`
    is JSON text that comes back as it was given."""

    id: str
    text: str
    vector: Sequence[float]
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    payload: str = ""


@dataclass(slots=True)
class Hit:
    """An entry that was found, without its vector. A greater score is better: cosine similarity (-1 to 1) for
    `nearest`, BM25 or the like (0 and more) for `matching`."""

    id: str
    text: str
    score: float
    attributes: Mapping[str, Any]
    payload: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition on one attribute. `in` and `nin` take a list."""

    op: str
    """eq, ne, gt, gte, lt, lte, in or nin (OpenAI's comparison filters)."""
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions joined by `and` or `or`."""

    op: str
    filters: tuple[Comparison | Combination, ...]


Filter = Comparison | Combination


class VectorIndex(Protocol):
    """What a provider of vector IO does: collections of entries, each of one dimension. A write that returned is
    durable, and every later search sees it. An entry without the attribute that a filter names does not match, but
    for `ne` and `nin`."""

    async def create(self, collection: str, dimension: int) -> None:
        """Make a collection; one of the same dimension that is there already is kept.

        Raises:
            Conflict: it is there with another dimension.
        """
        ...

    async def drop(self, collection: str) -> None:
        """Forget a collection with its entries; none of this name is no fault."""
        ...

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Add entries, all or none; one of the same id is replaced.

        Raises:
            NotFound: no such collection.
            InvalidRequest: a vector has another length than the collection's.
        """
        ...

    async def remove(self, collection: str, ids: Sequence[str]) -> None:
        """Forget entries; ids that are not there are no fault."""
        ...

    async def nearest(
        self, collection: str, vector: Sequence[float], most: int, where: Filter | None = None
    ) -> list[Hit]:
        """The entries nearest to a vector by cosine similarity, best first."""
        ...

    async def matching(self, collection: str, words: str, most: int, where: Filter | None = None) -> list[Hit]:
        """The entries whose text has these words, best first.

        Raises:
            Unsupported: this index cannot search words.
        """
        ...

    async def entries(
        self, collection: str, ids: Sequence[str] | None = None, where: Filter | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries by id or by filter, in the order of their putting, with their vectors."""
        ...


class ChunkMetadata(Open):
    """What the store knows of a chunk and a model never sees. Times in Unix seconds."""

    chunk_id: str | None = Field(None, exclude_if=absent)
    document_id: str | None = Field(None, exclude_if=absent)
    source: str | None = Field(None, exclude_if=absent, description="Where the text is from: a URL, a path.")
    created_timestamp: int | None = Field(None, exclude_if=absent)
    updated_timestamp: int | None = Field(None, exclude_if=absent)
    chunk_window: str | None = Field(None, exclude_if=absent, description="Its place in the document: start-end.")
    chunk_tokenizer: str | None = Field(None, exclude_if=absent)
    chunk_embedding_model: str | None = Field(None, exclude_if=absent)
    chunk_embedding_dimension: int | None = Field(None, exclude_if=absent)
    content_token_count: int | None = Field(None, exclude_if=absent)
    metadata_token_count: int | None = Field(None, exclude_if=absent)


class Chunk(Strict):
    """A piece of text with its vector. Shapes: Llama Stack 0.3.5 (`stored_chunk_id`), OGX 0.8.0 (`chunk_id`, …)."""

    content: Interleaved
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="Comes back as it is; filters look at its plain values."
    )
    embedding: list[FiniteFloat] | None = Field(None, description="Computed by the store's model where left out.")
    stored_chunk_id: str | None = None
    chunk_id: str | None = None
    chunk_metadata: ChunkMetadata | None = None
    embedding_model: str | None = Field(None, description="The model that made the embedding: the store's own.")
    embedding_dimension: int | None = Field(None, description="Length of the embedding: the store's own.")


class StoreNamed(Strict):
    """A request that names a vector store, as `vector_store_id` or, as Llama Stack 0.3.5 does, as `vector_db_id`."""

    vector_store_id: str | None = Field(None, min_length=1)
    vector_db_id: str | None = Field(None, min_length=1, description="The older name of vector_store_id.")

    @model_validator(mode="after")
    def _one_store(self) -> StoreNamed:
        if len({self.vector_store_id, self.vector_db_id} - {None}) != 1:
            raise ValueError("vector_store_id (or vector_db_id) must name one vector store")
        return self

    @property
    def store(self) -> str:
        """The id, by whichever name it came."""
        return self.vector_store_id or self.vector_db_id or ""


class InsertChunksRequest(StoreNamed):
    """Arguments of `insert`."""

    chunks: list[Chunk] = Field(min_length=1)
    ttl_seconds: int | None = Field(None, ge=1, description="After so many seconds the chunks are not found any more.")


class RankerParams(Strict):
    """Settings of a ranker."""

    k: float | None = Field(None, gt=0, description="rrf: as impact_factor.")
    impact_factor: float | None = Field(None, gt=0, description="rrf: the greater, the less the first places count.")
    alpha: float | None = Field(None, ge=0, le=1, description="weighted: 1 is nearness alone, 0 words alone.")
    weights: list[float] | None = Field(None, min_length=2, max_length=2, description="weighted: nearness, words.")


class Ranker(RankerParams):
    """How a hybrid search joins nearness and words."""

    strategy: Literal["rrf", "weighted", "normalized"] = Field("rrf", validation_alias=AliasChoices("strategy", "type"))
    params: RankerParams | None = None


class QueryParams(Strict):
    """How chunks are looked for. Shape: what Llama Stack 0.3.5 reads from its loose mapping."""

    mode: Literal["vector", "keyword", "hybrid"] | None = Field(None, description="vector where left out.")
    max_chunks: int = Field(3, ge=1, le=1000)
    score_threshold: float | None = Field(None, description="Leave out what scores lower.")
    ranker: Ranker | None = None
    filters: SearchFilter = Field(None, description="As in a vector store's search.")


class QueryChunksRequest(StoreNamed):
    """Arguments of `query`."""

    query: Interleaved
    params: QueryParams | None = None


class QueryChunksResponse(Shape):
    """Chunks, best first, and their scores from 0 to 1."""

    chunks: list[Chunk]
    scores: list[float]


class VectorIO(Protocol):
    """Chunks with their vectors: put in, and the nearest found."""

    @route("POST", "/vector-io/insert", sdk="vector_io.insert")
    async def insert(self, request: InsertChunksRequest) -> None:
        """Put chunks into a store; one of the same id is replaced."""
        ...

    @route("POST", "/vector-io/query", sdk="vector_io.query")
    async def query(self, request: QueryChunksRequest) -> QueryChunksResponse:
        """Find the chunks that fit a query best."""
        ...
