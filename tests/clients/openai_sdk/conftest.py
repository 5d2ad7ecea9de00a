"""OpenAI's client, over HTTP and in process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2
import openai
import pytest

from stack_core.transport import in_process_transport
from tests.stack_core.running import Running


@pytest.fixture(params=["http", "in process"])
def client(request: pytest.FixtureRequest, running: Running) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    transport = in_process_transport(running.stack, httpx2) if request.param == "in process" else None
    with httpx2.Client(transport=transport) as http:
        yield openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0, http_client=http)


@pytest.fixture(params=["http", "in process"])
async def aclient(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    """The asynchronous client, on another loop than the stack's."""
    transport = in_process_transport(running.stack, httpx2) if request.param == "in process" else None
    async with httpx2.AsyncClient(transport=transport) as http:
        yield openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0, http_client=http)
