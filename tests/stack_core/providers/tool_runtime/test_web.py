"""Web search and Wolfram|Alpha against a small HTTP server that speaks as they document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn

from stack_core import Stack, context
from stack_core.errors import (
    InvalidRequest,
    MissingCredential,
    ProviderAuthFailed,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    StackError,
)

pytestmark = pytest.mark.slow

KEY = "key-of-the-tests"
PAGES = [{"name": f"n{i}", "url": f"http://p/{i}", "snippet": f"s{i}"} for i in range(5)]
ANSWERS: dict[str, Any] = {
    "tavily-search": {
        "query": "q", "answer": None, "images": [], "response_time": 0.1,
        "results": [{"title": f"t{i}", "url": f"http://p/{i}", "content": "c", "score": 0.5} for i in range(5)],
    },
    "brave-search": {
        "mixed": {"main": [{"type": "web", "index": 1}, {"type": "news", "index": 0}, {"type": "web", "index": 0}]},
        "web": {"results": [{"title": "w0", "url": "http://p/0"}, {"title": "w1", "url": "http://p/1"}]},
        "news": {"results": [{"title": "n0", "url": "http://n/0"}]},
    },
    "bing-search": {"queryContext": {"originalQuery": "q"}, "webPages": {"value": PAGES}},
    "wolfram-alpha": {
        "queryresult": {
            "success": True, "error": False,
            "pods": [
                {"title": "Result", "subpods": [{"plaintext": "4"}]}, {"title": "Plot", "subpods": [{"plaintext": ""}]},
                {"title": "Name", "subpods": [{"plaintext": "four"}]},
            ],
        }
    },
}  # fmt: skip


class Service:
    """One service: how it was asked, and what it answers."""

    def __init__(self, answer: Any) -> None:
        self.status, self.answer, self.asked = 200, answer, dict[str, Any]()
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = (await receive()).get("body") or b""
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self.asked = {"method": scope["method"], "headers": headers, "query": query}
        self.asked["body"] = json.loads(body) if body else None
        content = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def serving(name: str, folder: Path, key: str | None = KEY) -> AsyncIterator[tuple[Any, Service]]:
    """A stack whose provider of this name asks a service of this process."""
    service = Service(ANSWERS[name])
    running = uvicorn.Server(uvicorn.Config(service, port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    config = {"url": f"http://127.0.0.1:{port}/search", "api_key": key}
    file = {
        "image_name": "web",
        "providers": {"tool_runtime": [{"provider_id": name, "provider_type": f"remote::{name}", "config": config}]},
        "storage": {
            "backends": {"kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")}},
            "stores": {"metadata": {"namespace": "registry", "backend": "kv"}},
        },
        "registered_resources": {"tool_groups": [{"toolgroup_id": "builtin::web", "provider_id": name}]},
    }
    try:
        async with Stack.open(file) as stack:
            yield stack, service
    finally:
        running.should_exit = True
        await task


def told(result: Any) -> Any:
    return json.loads(result.content[0].text)


async def ask(stack: Any, query: str = "q", **more: Any) -> Any:
    tool = (await stack.tool_groups.list_tools("builtin::web")).data[0]
    return await stack.tool_runtime.invoke_tool(tool_name=tool.name, kwargs={"query": query, **more})


async def test_tavily(tmp_path: Path) -> None:
    async with serving("tavily-search", tmp_path) as (stack, service):
        found = told(await ask(stack, "who?"))
        assert (found["query"], [row["title"] for row in found["top_k"]]) == ("who?", ["t0", "t1", "t2"])
        assert service.asked["body"] == {"query": "who?", "max_results": 3}
        assert service.asked["headers"]["authorization"] == f"Bearer {KEY}"
        with context.request_scope(data={"tavily_search_api_key": "mine"}):
            await ask(stack)
        assert service.asked["headers"]["authorization"] == "Bearer mine"


async def test_brave(tmp_path: Path) -> None:
    async with serving("brave-search", tmp_path) as (stack, service):
        assert [row["title"] for row in told(await ask(stack))["top_k"]] == ["w1", "n0", "w0"]
        assert service.asked["query"] == {"q": "q", "count": "3"}
        assert service.asked["headers"]["x-subscription-token"] == KEY


async def test_bing(tmp_path: Path) -> None:
    async with serving("bing-search", tmp_path) as (stack, service):
        found = told(await ask(stack))["top_k"]
        assert found[0] == {"title": "n0", "url": "http://p/0", "snippet": "s0"}
        assert len(found) == 3
        assert service.asked["headers"]["ocp-apim-subscription-key"] == KEY


async def test_wolfram(tmp_path: Path) -> None:
    async with serving("wolfram-alpha", tmp_path) as (stack, service):
        pods = [{"title": "Result", "texts": ["4"]}, {"title": "Name", "texts": ["four"]}]
        assert told(await ask(stack, "2+2")) == {"query": "2+2", "understood": True, "pods": pods}
        assert service.asked["query"]["appid"] == KEY
        service.answer = {"queryresult": {"success": False, "error": {"code": "1", "msg": f"Invalid appid {KEY}"}}}
        with pytest.raises(ProviderError, match="Invalid appid") as fault:
            await ask(stack)
        assert KEY not in str(fault.value)


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_refusals_are_typed_and_keep_the_key(tmp_path: Path, name: str) -> None:
    async with serving(name, tmp_path) as (stack, service):
        for status, kind in [(401, ProviderAuthFailed), (429, RateLimited), (400, InvalidRequest)]:
            service.status, service.answer = status, {"detail": {"error": f"no: {KEY}"}}
            service.headers = [(b"x-should-retry", b"false")]
            with pytest.raises(kind) as fault:
                await ask(stack)
            assert KEY not in str(fault.value)
        service.status, service.answer = 200, b"<html>"
        with pytest.raises(ProviderError, match="cannot be read"):
            await ask(stack)
        with pytest.raises(InvalidRequest, match="needs a query"):
            await ask(stack, " ")
        with pytest.raises(InvalidRequest, match="does not take speed"):
            await ask(stack, speed=1)


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_a_key_is_needed(tmp_path: Path, name: str) -> None:
    async with serving(name, tmp_path, None) as (stack, _):
        with pytest.raises(MissingCredential, match=f"{name} has no key"):
            await ask(stack)


async def test_nobody_there(tmp_path: Path) -> None:
    async with serving("wolfram-alpha", tmp_path) as (stack, _):
        provider = stack.providers_by_key["tool_runtime", "wolfram-alpha"].instance
        provider._url = "http://127.0.0.1:9/x"
        with pytest.raises(StackError) as fault:
            await ask(stack)
        assert isinstance(fault.value, ProviderUnavailable)
        assert KEY not in str(fault.value)
        assert urlsplit(provider._url).path == "/x"
