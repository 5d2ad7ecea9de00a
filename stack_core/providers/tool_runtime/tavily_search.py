"""Web search by Tavily."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from stack_core.apis.providers import ProviderId
from stack_core.providers._registry import provider
from stack_core.providers.tool_runtime._web import Ask, WebConfig, WebTool, part, rows


class TavilyConfig(WebConfig):
    """Fields of Llama Stack 0.3.5, and where the service is."""

    max_results: int = Field(3, ge=1, le=20, description="Results of a search.")
    url: str = Field("https://api.tavily.com/search", description="Where the service is.")


@provider("remote::tavily-search", sample={"api_key": "${env.TAVILY_SEARCH_API_KEY:=}", "max_results": 3})
class TavilySearch(WebTool):
    """Searches the web with Tavily."""

    Config = TavilyConfig
    key = "tavily_search_api_key"

    def __init__(self, config: TavilyConfig, provider_id: ProviderId) -> None:
        super().__init__(config, config.url, provider_id)
        self._most = config.max_results

    def ask(self, query: str, key: str) -> Ask:
        """A search; the key goes as Bearer, as its documentation has it."""
        return Ask("POST", {"authorization": f"Bearer {key}"}, body={"query": query, "max_results": self._most})

    def told(self, answer: dict[str, Any], query: str) -> Any:
        """The results, and the answer where the service gave one."""
        found = [part(row, "title", "url", "content", "score") for row in rows(answer.get("results"))]
        return {"query": query, **part(answer, "answer"), "top_k": found[: self._most]}
