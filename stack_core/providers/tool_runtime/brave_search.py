"""Web search by Brave."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from stack_core.apis.providers import ProviderId
from stack_core.providers._registry import provider
from stack_core.providers.tool_runtime._web import Ask, WebConfig, WebTool, part, rows

_FIELDS = ("type", "title", "url", "description", "date", "extra_snippets", "question", "answer", "long_desc", "age")


class BraveConfig(WebConfig):
    """Fields of Llama Stack 0.3.5, and where the service is."""

    max_results: int = Field(3, ge=1, le=20, description="Results of a search.")
    url: str = Field("https://api.search.brave.com/res/v1/web/search", description="Where the service is.")


@provider("remote::brave-search", sample={"api_key": "${env.BRAVE_SEARCH_API_KEY:=}", "max_results": 3})
class BraveSearch(WebTool):
    """Searches the web with Brave."""

    Config = BraveConfig
    key = "brave_search_api_key"

    def __init__(self, config: BraveConfig, provider_id: ProviderId) -> None:
        super().__init__(config, config.url, provider_id)
        self._most = config.max_results

    def ask(self, query: str, key: str) -> Ask:
        """A search."""
        return Ask("GET", {"x-subscription-token": key}, {"q": query, "count": self._most})

    def told(self, answer: dict[str, Any], query: str) -> Any:
        """The results in the order that `mixed.main` gives, over all their kinds."""
        mixed = answer.get("mixed")
        places = rows(mixed.get("main") if isinstance(mixed, dict) else None)
        found: list[dict[str, Any]] = []
        for place in places or [{"type": "web", "all": True}]:
            section = answer.get("web" if place.get("type") in ("search", "web") else str(place.get("type")))
            listed = rows(section.get("results") if isinstance(section, dict) else None)
            index = place.get("index")
            chosen = listed if place.get("all") or not isinstance(index, int) else listed[index : index + 1]
            found += [part(row, *_FIELDS) for row in chosen]
        return {"query": query, "top_k": found[: self._most]}
