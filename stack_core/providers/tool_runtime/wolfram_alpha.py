"""Computed answers by Wolfram|Alpha."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from stack_core.apis.providers import ProviderId
from stack_core.providers._registry import provider
from stack_core.providers.tool_runtime._web import Ask, WebConfig, WebTool, rows


class WolframConfig(WebConfig):
    """Fields of Llama Stack 0.3.5, and where the service is."""

    url: str = Field("https://api.wolframalpha.com/v2/query", description="Where the service is.")


@provider("remote::wolfram-alpha", sample={"api_key": "${env.WOLFRAM_ALPHA_API_KEY:=}"})
class WolframAlpha(WebTool):
    """Asks Wolfram|Alpha."""

    Config = WolframConfig
    key = "wolfram_alpha_api_key"
    name = "wolfram_alpha"
    description = "Query WolframAlpha for computational knowledge"
    asked = "The question to compute an answer to"

    def __init__(self, config: WolframConfig, provider_id: ProviderId) -> None:
        super().__init__(config, config.url, provider_id)

    def ask(self, query: str, key: str) -> Ask:
        """A question; the key has no place but the address."""
        return Ask("GET", params={"input": query, "appid": key, "format": "plaintext", "output": "json"})

    def fault(self, answer: dict[str, Any]) -> str | None:
        """Its errors come with status 200."""
        result = answer.get("queryresult")
        error = result.get("error") if isinstance(result, dict) else None
        if not error:
            return None
        return str(error.get("msg") or "it failed") if isinstance(error, dict) else "it failed"

    def told(self, answer: dict[str, Any], query: str) -> Any:
        """All pods with their texts; the service's own word where it did not understand."""
        result = answer.get("queryresult")
        if not isinstance(result, dict):
            raise self.unreadable("it has no queryresult")
        pods = []
        for pod in rows(result.get("pods")):
            texts = [row["plaintext"] for row in rows(pod.get("subpods")) if row.get("plaintext")]
            if texts:
                pods.append({"title": pod.get("title"), "texts": texts})
        return {"query": query, "understood": bool(result.get("success")), "pods": pods}
