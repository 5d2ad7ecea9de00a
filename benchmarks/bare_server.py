"""The floor of the server: a FastAPI application that passes a chat completion on with httpx2, and nothing else."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from stack_core.http import body_of, open_client


def application(upstream: str) -> FastAPI:
    """The application; it passes bodies on as they are."""
    client = open_client(upstream, retries=0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        asked = await request.body()
        headers = {"content-type": "application/json"}
        if b'"stream": true' not in asked:
            answer = await client.post("/chat/completions", content=asked, headers=headers)
            return Response(answer.content, media_type="application/json")

        async def pieces() -> AsyncIterator[bytes]:
            async with client.stream("POST", "/chat/completions", content=asked, headers=headers) as streamed:
                async for piece in body_of(streamed):
                    yield piece

        return StreamingResponse(pieces(), media_type="text/event-stream")

    return app


def main() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(application(sys.argv[1]), log_level="critical", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
