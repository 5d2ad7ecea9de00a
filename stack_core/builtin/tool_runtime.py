"""Who answers the calls of the Tool Runtime API that name no tool: the provider that searches documents."""

from __future__ import annotations

from typing import Any

from stack_core.apis.tool_runtime import InsertDocumentsRequest, QueryDocumentsRequest, RAGQueryResult, ToolRuntime
from stack_core.builtin._ground import Ground
from stack_core.errors import StackError, Unsupported


class RagDesk:
    """Passes documents and questions on to the first provider that takes them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def insert(self, request: InsertDocumentsRequest) -> None:
        """Put documents into a vector store."""
        await self._provider("insert").insert(request)

    async def query(self, request: QueryDocumentsRequest) -> RAGQueryResult:
        """Search vector stores for what belongs to a content."""
        found: RAGQueryResult = await self._provider("query").query(request)
        return found

    def _provider(self, method: str) -> Any:
        broken: StackError | None = None
        for serving in self._ground.providers("tool_runtime").values():
            if serving.error is not None and serving.provider_type.endswith("rag-runtime"):
                broken = serving.error
            own = getattr(type(serving.instance), method, None)
            if own is not None and own is not getattr(ToolRuntime, method):
                return serving.instance
        if broken is not None:
            raise broken
        raise Unsupported(
            "no provider of tool_runtime searches documents", "add inline::rag-runtime under providers.tool_runtime"
        )
