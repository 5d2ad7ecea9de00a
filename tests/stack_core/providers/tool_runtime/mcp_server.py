"""An MCP server for tests: as an app of this process (streamable HTTP and SSE, with a token), or a program (stdio)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.types import ToolAnnotations

TOKEN = "token-of-the-tests"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636060606000000005000"
    "1a5f645400000000049454e44ae426082"
)


def make(mark: str = "") -> MCPServer:
    """The server. `mark` is a file by which a program knows that it has died already."""
    server = MCPServer("tests", version="1.2", instructions="for tests")
    hanging, cancelled = asyncio.Event(), asyncio.Event()

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool(structured_output=False)
    def pixel() -> list[Any]:
        """A picture with a word."""
        return ["look", Image(data=PIXEL, format="png")]

    @server.tool(structured_output=False)
    def fail() -> str:
        """Raises."""
        raise RuntimeError("it broke")

    @server.tool(structured_output=False)
    async def hang() -> str:
        """Never answers."""
        hanging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    @server.tool(structured_output=False)
    def huge(megabytes: int) -> str:
        """Very long."""
        return "x" * (megabytes * 1_000_000)

    @server.tool(structured_output=False, annotations=ToolAnnotations(read_only_hint=True))
    def die_once() -> str:
        """Ends the server, the first time."""
        if not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(3)
        return "here again"

    @server.tool(structured_output=False)
    def die() -> str:
        """Ends the server."""
        os._exit(3)

    @server.tool(structured_output=False)
    def grow() -> str:
        """Gives the server another tool."""
        server.add_tool(lambda: "new", name="fresh", structured_output=False)
        return "grown"

    server.hanging, server.cancelled = hanging, cancelled  # type: ignore[attr-defined]  # for the tests alone
    return server


@asynccontextmanager
async def served(kind: str = "http", token: str | None = None, server: MCPServer | None = None) -> AsyncIterator[str]:
    """The address of the server, in this process."""
    made = server or make()
    app = made.sse_app() if kind == "sse" else made.streamable_http_app()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers") or {}).get(b"authorization", b"").decode()
        if scope["type"] == "http" and token is not None and given != f"Bearer {token}":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?"})
            return
        await app(scope, receive, send)

    config = uvicorn.Config(guarded, port=0, log_level="error", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/{'sse' if kind == 'sse' else 'mcp'}"
    finally:
        running.should_exit = running.force_exit = True
        await task


if __name__ == "__main__":
    make(sys.argv[1]).run("stdio")
