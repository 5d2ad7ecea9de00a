"""Web search by Bing: its public service ended in August 2025; contracts of large customers go on."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from stack_core.apis.providers import ProviderId
from stack_core.providers._registry import provider
from stack_core.providers.tool_runtime._web import Ask, WebConfig, WebTool, part, rows


class BingConfig(WebConfig):
    """Fields of Llama Stack 0.3.5, and where the service is."""

    top_k: int = Field(3, ge=1, le=50, description="Results of a search.")
    url: str = Field("https://api.bing.microsoft.com/v7.0/search", description="Where the service is.")


@provider("remote::bing-search", sample={"api_key": "${env.BING_API_KEY:=}"})
class BingSearch(WebTool):
    """Searches the web with Bing, for who still has a contract: the public service ended in August 2025."""

    Config = BingConfig
    key = "bing_search_api_key"

    def __init__(self, config: BingConfig, provider_id: ProviderId) -> None:
        super().__init__(config, config.url, provider_id)
        self._most = config.top_k

    def ask(self, query: str, key: str) -> Ask:
        """A search."""
        params = {"q": query, "count": self._most, "textDecorations": "true", "textFormat": "HTML"}
        return Ask("GET", {"ocp-apim-subscription-key": key}, params)

    def told(self, answer: dict[str, Any], query: str) -> Any:
        """Pages, then news."""
        found: list[dict[str, Any]] = []
        for name, fields in (("webPages", ("name", "url", "snippet")), ("news", ("name", "url", "description"))):
            section = answer.get(name)
            listed = rows(section.get("value") if isinstance(section, dict) else None)
            found += [{"title": row.get("name"), **part(row, *fields[1:])} for row in listed]
        return {"query": query, "top_k": found[: self._most]}
