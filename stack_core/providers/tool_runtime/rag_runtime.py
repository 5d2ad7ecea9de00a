"""The tool that searches documents, and the two calls that put them in and find them. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

import asyncio
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError

from stack_core.apis._tools import ToolDef
from stack_core.apis.files import Files
from stack_core.apis.inference import ChatCompletionRequest, Inference
from stack_core.apis.tool_groups import ToolGroup
from stack_core.apis.tool_runtime import (
    InsertDocumentsRequest,
    InvokeToolRequest,
    ModelQueryGenerator,
    QueryDocumentsRequest,
    RAGQueryConfig,
    RAGQueryResult,
    ToolInvocationResult,
    ToolRuntime,
)
from stack_core.apis.vector_io import Chunk, QueryChunksRequest, QueryParams, VectorIO
from stack_core.apis.vector_stores import VectorStores
from stack_core.errors import InvalidRequest, NotFound, Unsupported
from stack_core.providers._registry import provider
from stack_core.providers.tool_runtime._documents import Inserting
from stack_core.providers.tool_runtime._passages import check_template, texts_of, told

NAME = "knowledge_search"
STORES = ("vector_db_ids", "vector_store_ids")
"""Names of the argument that says where to search; the first is Llama Stack's older one."""
_TOOL = ToolDef(
    name=NAME,
    description="Search for information in a database.",
    input_schema={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "The query to search for. Can be a sentence."}},
        "required": ["query"],
    },
)


class RagConfig(BaseModel):
    """Llama Stack 0.3.5 has no fields here."""

    model_config = ConfigDict(extra="forbid")


@provider("inline::rag-runtime")
class RagRuntime(ToolRuntime):
    """Searches vector stores for what belongs to a question: `knowledge_search`."""

    Config = RagConfig

    def __init__(
        self,
        config: RagConfig,
        vector_io: VectorIO,
        vector_stores: VectorStores,
        files: Files | None,
        inference: Inference | None,
    ) -> None:
        self._vectors, self._inference = vector_io, inference
        self._inserting = Inserting(files, vector_stores) if files is not None else None

    async def tools(self, group: ToolGroup) -> list[ToolDef]:
        """The one tool."""
        return [_TOOL]

    def of(self, group: ToolGroup) -> KnowledgeSearch:
        """The tool with a group's args."""
        return KnowledgeSearch(self, group.args or {})

    async def insert(self, request: InsertDocumentsRequest) -> None:
        """Put documents into a vector store; all are indexed when this returns."""
        if self._inserting is None:
            raise Unsupported(
                "documents are kept as files, and there are none here", "add a provider under providers.files"
            )
        await self._inserting.insert(request)

    async def query(self, request: QueryDocumentsRequest) -> RAGQueryResult:
        """Search vector stores for what belongs to a content.

        Raises:
            InvalidRequest: no store is named, or there is nothing to look for.
            UnknownId: there is no such store.
        """
        config = request.query_config or RAGQueryConfig()
        check_template(config.chunk_template)
        if not request.vector_db_ids:
            raise InvalidRequest("no vector store is named", "vector_db_ids: ids of vector stores")
        query = await self._query_of(request, config)
        if not query.strip():
            raise InvalidRequest("there is nothing to look for: the query is empty")
        params = QueryParams(
            mode=config.mode,
            max_chunks=config.max_chunks,
            ranker=config.ranker.model_dump() if config.ranker is not None else None,
        )
        stores = list(dict.fromkeys(request.vector_db_ids))
        answers = await asyncio.gather(*(self._search(store, query, params) for store in stores))
        found = sorted((row for rows in answers for row in rows), key=lambda row: -row[0])[: config.max_chunks]
        return told(found, query, config.chunk_template, config.max_tokens_in_context)

    async def _search(self, store: str, query: str, params: QueryParams) -> list[tuple[float, str, Chunk]]:
        request = QueryChunksRequest(vector_store_id=store, query=query, params=params)
        found = await self._vectors.query(request)
        return [(score, store, chunk) for chunk, score in zip(found.chunks, found.scores, strict=True)]

    async def _query_of(self, request: QueryDocumentsRequest, config: RAGQueryConfig) -> str:
        generator = config.query_generator_config
        texts = texts_of(request.content)
        if not isinstance(generator, ModelQueryGenerator):
            return generator.separator.join(texts)
        if self._inference is None:
            raise Unsupported("a model cannot write the query: there is no inference here")
        messages = [{"role": "user", "content": text} for text in texts]
        try:
            prompt = SandboxedEnvironment().from_string(generator.template).render(messages=messages)
        except TemplateError as error:
            raise InvalidRequest(f"query_generator_config.template: {error}") from error
        asked = ChatCompletionRequest.model_validate(
            {"model": generator.model, "messages": [{"role": "user", "content": prompt}], "stream": False}
        )
        answer: Any = await self._inference.chat_completion(asked)
        return str(answer.choices[0].message.content or "").strip()


class KnowledgeSearch:
    """`knowledge_search` with the args of its group: where to search, and how."""

    def __init__(self, rag: RagRuntime, args: dict[str, Any]) -> None:
        self._rag, self._args = rag, args

    async def invoke_tool(self, request: InvokeToolRequest) -> ToolInvocationResult:
        """Search. What the call says wins over the group's args.

        Raises:
            NotFound: the group has no such tool.
            InvalidRequest: an argument is missing or unknown.
        """
        if request.tool_name != NAME:
            raise NotFound("tool", request.tool_name, [NAME])
        given = {**self._args, **request.kwargs}
        if set(STORES) & request.kwargs.keys():
            given = {name: value for name, value in given.items() if name not in STORES or name in request.kwargs}
        known = {"query", "query_config", *STORES, "session_id", "toolgroup_id"}  # agents hand their ids to every tool
        if unknown := given.keys() - known:
            raise InvalidRequest(
                f"{NAME} does not take {', '.join(sorted(unknown))}", "query, vector_store_ids, query_config"
            )
        stores = [store for name in STORES for store in _listed(given.get(name))]
        try:
            asked = QueryDocumentsRequest.model_validate(
                {"content": given.get("query"), "vector_db_ids": stores, "query_config": given.get("query_config")}
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(first["loc"][0]).replace("content", "query")
            raise InvalidRequest(f"{NAME}: {name}: {first['msg']}") from error
        found = await self._rag.query(asked)
        return ToolInvocationResult(content=found.content or "knowledge_search found nothing.", metadata=found.metadata)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
