"""Tools in use: which a group has, calling one, and the tools that search documents. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._interleaved import URL, Interleaved
from stack_core.apis._shapes import Open, Strict
from stack_core.apis._tools import ToolDefList


class InvokeToolRequest(Strict):
    """Arguments of `invoke_tool`."""

    tool_name: str
    kwargs: dict[str, Any] = Field(default_factory=dict, description="The tool's arguments.")


class ToolInvocationResult(Open):
    """What a tool answered, or why it could not."""

    content: Interleaved | None = None
    error_message: str | None = None
    error_code: int | None = None
    metadata: dict[str, Any] | None = None


class RAGDocument(Strict):
    """A document: its content, or where that is."""

    document_id: str
    content: Interleaved | URL
    mime_type: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class InsertDocumentsRequest(Strict):
    """Arguments of `insert`."""

    documents: list[RAGDocument]
    vector_db_id: str
    chunk_size_in_tokens: int = Field(512, ge=1)


class DefaultQueryGenerator(Strict):
    """The query is the content's texts, joined."""

    type: Literal["default"] = "default"
    separator: str = " "


class ModelQueryGenerator(Strict):
    """A model writes the query."""

    type: Literal["llm"] = "llm"
    model: str
    template: str = Field(description="A Jinja template that is given `messages`.")


class RRFRanker(Strict):
    """Places in both lists are put together: reciprocal rank fusion."""

    type: Literal["rrf"] = "rrf"
    impact_factor: float = Field(60.0, gt=0, description="Higher: the first places count less.")


class WeightedRanker(Strict):
    """Scores of both lists are put together by weight."""

    type: Literal["weighted"] = "weighted"
    alpha: float = Field(0.5, ge=0, le=1, description="0: keywords only, 1: vectors only.")


Ranker = Annotated[RRFRanker | WeightedRanker, Field(discriminator="type")]
QueryGenerator = Annotated[DefaultQueryGenerator | ModelQueryGenerator, Field(discriminator="type")]


class RAGQueryConfig(Strict):
    """How documents are searched, and how what was found is written down."""

    query_generator_config: QueryGenerator = Field(default_factory=DefaultQueryGenerator)
    max_tokens_in_context: int = Field(4096, ge=1)
    max_chunks: int = Field(5, ge=1)
    chunk_template: str = Field(
        "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n",
        description="Of one chunk; must hold {index} and {chunk.content}, may hold {metadata}.",
    )
    mode: Literal["vector", "keyword", "hybrid"] | None = "vector"
    ranker: Ranker | None = Field(None, description="For hybrid search; null: reciprocal rank fusion.")


class QueryDocumentsRequest(Strict):
    """Arguments of `query`."""

    content: Interleaved
    vector_db_ids: list[str]
    query_config: RAGQueryConfig | None = None


class RAGQueryResult(Open):
    """What was found, ready to be put before a model."""

    content: Interleaved | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class ToolRuntime(Protocol):
    """Call tools. A provider implements the methods that it has; the rest answer 501."""

    @route("POST", "/tool-runtime/invoke", key="tool_name", sdk="tool_runtime.invoke_tool")
    async def invoke_tool(self, request: InvokeToolRequest) -> ToolInvocationResult:
        """Call a tool."""
        ...

    @route("GET", "/tool-runtime/list-tools", key="tool_group_id", sdk="tool_runtime.list_tools")
    async def list_runtime_tools(
        self, tool_group_id: str | None = None, mcp_endpoint: URL | None = None
    ) -> ToolDefList:
        """The tools of a group, or of an MCP server."""
        ...

    @route("POST", "/tool-runtime/rag-tool/insert", sdk="tool_runtime.rag_tool.insert")
    async def insert(self, request: InsertDocumentsRequest) -> None:
        """Put documents into a vector store."""
        ...

    @route("POST", "/tool-runtime/rag-tool/query", sdk="tool_runtime.rag_tool.query")
    async def query(self, request: QueryDocumentsRequest) -> RAGQueryResult:
        """Search vector stores for what belongs to a content."""
        ...
