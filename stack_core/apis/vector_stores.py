"""Searchable collections of files (OpenAI's Vector Stores). The stack itself answers; a provider of vector IO keeps the
vectors.

Shapes: OpenAI 2.3.0, with what Llama Stack 0.3.5 and OGX 0.8.0 add (`provider_id`, `search_mode`, …).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, model_validator

from stack_core.apis._chunking import Chunking
from stack_core.apis._declare import route
from stack_core.apis._filters import SearchFilter
from stack_core.apis._shapes import Listing, Open, PageQuery, Shape, Strict, absent

FileStatus = Literal["in_progress", "completed", "cancelled", "failed"]
SearchMode = Literal["vector", "keyword", "hybrid"]
AttributeKey = Annotated[str, Field(min_length=1, max_length=64)]
AttributeValue = Annotated[str, Field(max_length=512)] | bool | int | float
Attributes = Annotated[dict[AttributeKey, AttributeValue], Field(max_length=16)]
MOST_FILES = 2000
"""Files in one batch."""

# ---- stores -----------------------------------------------------------------------------------------------------


class ExpiresAfter(Strict):
    """When a store ends: so many days after its last use."""

    anchor: Literal["last_active_at"] = "last_active_at"
    days: int = Field(ge=1, le=365)


class FileCounts(Shape):
    """Files by where they stand."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class VectorStore(Open):
    """A vector store. `metadata` holds the caller's pairs and, as at Llama Stack, `provider_id`, `embedding_model` and
    `embedding_dimension`."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int = Field(description="Unix time in seconds.")
    name: str = ""
    description: str | None = Field(None, exclude_if=absent)
    usage_bytes: int = Field(0, description="Bytes of the pieces and their vectors.")
    file_counts: FileCounts = Field(default_factory=FileCounts)
    status: Literal["expired", "in_progress", "completed"] = "completed"
    expires_after: ExpiresAfter | None = None
    expires_at: int | None = None
    last_active_at: int | None = None
    metadata: dict[str, Any] | None = None


class VectorStoreList(Listing[VectorStore]):
    """A page of vector stores."""


class CreateVectorStoreRequest(Strict):
    """Arguments of `create_vector_store`."""

    name: str | None = None
    description: str | None = None
    file_ids: list[str] | None = Field(None, max_length=MOST_FILES, description="Files to attach at once.")
    expires_after: ExpiresAfter | None = None
    chunking_strategy: Chunking | None = Field(
        None, description="For `file_ids`, and for files attached later without one of their own."
    )
    metadata: dict[str, Any] | None = None
    provider_id: str | None = Field(None, description="Which provider of vector IO keeps the vectors (Llama Stack).")
    embedding_model: str | None = Field(None, description="Id of the model that embeds (Llama Stack).")
    embedding_dimension: int | None = Field(None, ge=1, le=65_536, description="Length of its vectors (Llama Stack).")


class UpdateVectorStoreRequest(Strict):
    """Arguments of `update_vector_store`. What is left out stays; `expires_after: null` takes the expiry away."""

    name: str | None = None
    expires_after: ExpiresAfter | None = None
    metadata: dict[str, Any] | None = None


class ListVectorStoresRequest(PageQuery):
    """Arguments of `list_vector_stores`."""

    before: str | None = Field(None, description="Id of the first entry of the page after.")


class VectorStoreDeleted(Shape):
    """What is said of a store that was deleted."""

    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: bool = True


# ---- files of a store -------------------------------------------------------------------------------------------


class FileFault(Shape):
    """Why a file could not be indexed."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class VectorStoreFile(Open):
    """A file in a vector store; its id is the file's. `chunking_strategy` says the sizes that were used."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    status: FileStatus = "in_progress"
    last_error: FileFault | None = None
    usage_bytes: int = 0
    chunking_strategy: Chunking | None = None
    attributes: Attributes | None = None


class VectorStoreFileList(Listing[VectorStoreFile]):
    """A page of a store's files."""


class AttachFileRequest(Strict):
    """Arguments of `attach_file`, and one file of a batch."""

    file_id: str = Field(min_length=1)
    attributes: Attributes | None = Field(None, description="What filters look at.")
    chunking_strategy: Chunking | None = None


class ListStoreFilesRequest(PageQuery):
    """Arguments of `list_files` and `list_batch_files`."""

    before: str | None = Field(None, description="Id of the first entry of the page after.")
    filter: FileStatus | None = Field(None, description="Only files that stand so.")


class UpdateStoreFileRequest(Strict):
    """Arguments of `update_file`."""

    attributes: Attributes | None = Field(description="In place of those it had.")


class ReadStoreFileRequest(Strict):
    """Arguments of `file_content`."""

    include_embeddings: bool = Field(False, description="Give each piece's vector too (OGX).")
    include_metadata: bool = Field(False, description="Give what is known of each piece too (OGX).")


class VectorStoreFileDeleted(Shape):
    """What is said of a file that was taken out of a store."""

    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: bool = True


class StorePiece(Open):
    """A piece of a file's text."""

    type: Literal["text"] = "text"
    text: str
    embedding: list[float] | None = Field(None, exclude_if=absent)
    chunk_metadata: dict[str, Any] | None = Field(None, exclude_if=absent)
    metadata: dict[str, Any] | None = Field(None, exclude_if=absent)


class StoreFileContent(Shape):
    """The text of a file in its pieces: under `data` as at OpenAI, and under `content` as at Llama Stack 0.3.5."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[StorePiece]
    has_more: bool = False
    next_page: str | None = None
    content: list[StorePiece]
    file_id: str
    filename: str
    attributes: Attributes | None = None


# ---- batches of files -------------------------------------------------------------------------------------------


class FileBatch(Open):
    """Files that are attached together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCounts


class CreateFileBatchRequest(Strict):
    """Arguments of `create_file_batch`: `file_ids`, with one strategy and one set of attributes for all, or `files`."""

    file_ids: list[str] | None = Field(None, min_length=1, max_length=MOST_FILES)
    files: list[AttachFileRequest] | None = Field(None, min_length=1, max_length=MOST_FILES)
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CreateFileBatchRequest:
        if (self.file_ids is None) == (self.files is None):
            raise ValueError("give either file_ids or files")
        if self.files is not None and (self.attributes is not None or self.chunking_strategy is not None):
            raise ValueError("with files, attributes and chunking_strategy are given for each file")
        return self


# ---- search -----------------------------------------------------------------------------------------------------


class HybridWeights(Strict):
    """Shares of nearness and of words in a hybrid search."""

    embedding_weight: float = Field(ge=0)
    text_weight: float = Field(ge=0)


class RankingOptions(Strict):
    """How results are ordered."""

    ranker: str | None = Field(
        None,
        description="auto, default-2024-11-15 or none; for hybrid searches rrf, weighted or normalized; or the id of a "
        "rerank model.",
    )
    score_threshold: float | None = Field(None, ge=0, le=1, description="Leave out what scores lower.")
    hybrid_search: HybridWeights | None = Field(None, description="Shares in the fusion; makes the search hybrid.")
    alpha: float | None = Field(None, ge=0, le=1, description="weighted: 1 is nearness alone, 0 words alone.")
    impact_factor: float | None = Field(None, gt=0, description="rrf: the greater, the less the first places count.")
    weights: dict[Literal["vector", "keyword"], float] | None = Field(None, description="weighted: shares by name.")
    model: str | None = Field(None, description="Id of a rerank model (OGX).")


class SearchRequest(Strict):
    """Arguments of `search`."""

    query: str | Annotated[list[str], Field(min_length=1)]
    filters: SearchFilter = Field(None, description="On the files' attributes.")
    max_num_results: int = Field(10, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = Field(False, description="Not available here: true is refused.")
    search_mode: SearchMode | None = Field(None, description="vector where left out (Llama Stack).")


class SearchResult(Open):
    """A piece that was found. `score` is from 0 to 1, greater is better."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, AttributeValue] | None = None
    content: list[StorePiece]


class SearchPage(Open):
    """What a search found, best first."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool = False
    next_page: str | None = None


class VectorStores(Protocol):
    """Searchable collections of files (OpenAI's Vector Stores)."""

    @route("POST", "/vector_stores", sdk="vector_stores.create")
    async def create_vector_store(self, request: CreateVectorStoreRequest) -> VectorStore:
        """Make a vector store, empty or with files."""
        ...

    @route("GET", "/vector_stores", sdk="vector_stores.list")
    async def list_vector_stores(self, request: ListVectorStoresRequest) -> VectorStoreList:
        """A page of vector stores."""
        ...

    @route("GET", "/vector_stores/{vector_store_id}", sdk="vector_stores.retrieve")
    async def get_vector_store(self, vector_store_id: str) -> VectorStore:
        """One vector store."""
        ...

    @route("POST", "/vector_stores/{vector_store_id}", sdk="vector_stores.update")
    async def update_vector_store(self, vector_store_id: str, request: UpdateVectorStoreRequest) -> VectorStore:
        """Change a store's name, expiry or metadata."""
        ...

    @route("DELETE", "/vector_stores/{vector_store_id}", sdk="vector_stores.delete")
    async def delete_vector_store(self, vector_store_id: str) -> VectorStoreDeleted:
        """Forget a store with everything indexed in it. The files stay."""
        ...

    @route("POST", "/vector_stores/{vector_store_id}/search", sdk="vector_stores.search")
    async def search(self, vector_store_id: str, request: SearchRequest) -> SearchPage:
        """Find the pieces that answer a query best."""
        ...

    @route("POST", "/vector_stores/{vector_store_id}/files", sdk="vector_stores.files.create")
    async def attach_file(self, vector_store_id: str, request: AttachFileRequest) -> VectorStoreFile:
        """Index a file in a store. It goes on in the background; a file that is done within ten seconds is answered as
        completed, a longer one as in_progress."""
        ...

    @route("GET", "/vector_stores/{vector_store_id}/files", sdk="vector_stores.files.list")
    async def list_files(self, vector_store_id: str, request: ListStoreFilesRequest) -> VectorStoreFileList:
        """A page of a store's files."""
        ...

    @route("GET", "/vector_stores/{vector_store_id}/files/{file_id}", sdk="vector_stores.files.retrieve")
    async def get_file(self, vector_store_id: str, file_id: str) -> VectorStoreFile:
        """One file of a store."""
        ...

    @route("POST", "/vector_stores/{vector_store_id}/files/{file_id}", sdk="vector_stores.files.update")
    async def update_file(self, vector_store_id: str, file_id: str, request: UpdateStoreFileRequest) -> VectorStoreFile:
        """Give a file other attributes; filters see them at once."""
        ...

    @route("DELETE", "/vector_stores/{vector_store_id}/files/{file_id}", sdk="vector_stores.files.delete")
    async def delete_file(self, vector_store_id: str, file_id: str) -> VectorStoreFileDeleted:
        """Take a file out of a store. The file itself stays."""
        ...

    @route("GET", "/vector_stores/{vector_store_id}/files/{file_id}/content", sdk="vector_stores.files.content")
    async def file_content(self, vector_store_id: str, file_id: str, request: ReadStoreFileRequest) -> StoreFileContent:
        """The text of a file, in the pieces that are indexed."""
        ...

    @route("POST", "/vector_stores/{vector_store_id}/file_batches", sdk="vector_stores.file_batches.create")
    async def create_file_batch(self, vector_store_id: str, request: CreateFileBatchRequest) -> FileBatch:
        """Index many files in the background."""
        ...

    @route("GET", "/vector_stores/{vector_store_id}/file_batches/{batch_id}", sdk="vector_stores.file_batches.retrieve")
    async def get_file_batch(self, vector_store_id: str, batch_id: str) -> FileBatch:
        """How far a batch is."""
        ...

    @route(
        "POST",
        "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
        sdk="vector_stores.file_batches.cancel",
    )
    async def cancel_file_batch(self, vector_store_id: str, batch_id: str) -> FileBatch:
        """Stop a batch; files that are done stay."""
        ...

    @route(
        "GET",
        "/vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
        sdk="vector_stores.file_batches.list_files",
    )
    async def list_batch_files(
        self, vector_store_id: str, batch_id: str, request: ListStoreFilesRequest
    ) -> VectorStoreFileList:
        """A page of a batch's files."""
        ...
