"""Llama Stack's client in the version that is imported: 0.3.5, or in a process of its own 0.7.5 (see
`tests/clients/test_newer_client.py`), over HTTP and in process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from stack_core.transport import in_process_transport
from tests.stack_core.running import Running

package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
WANTED = os.environ.get("TESTED_LLAMA_STACK_CLIENT", "0.3.5")


@pytest.fixture(scope="session", autouse=True)
def version() -> str:
    """That of the client; another one than is wanted would test something else than it says."""
    found = str(package.__version__)
    assert found == WANTED, f"this is llama-stack-client {found}, and {WANTED} was to be tested"
    return found


@pytest.fixture(scope="session")
def new(version: str) -> bool:
    """Whether it is the newer one."""
    return version != "0.3.5"


@pytest.fixture(params=["http", "in process"])
def llama(request: pytest.FixtureRequest, running: Running) -> Iterator[Any]:
    """The synchronous client."""
    transport = in_process_transport(running.stack, httpx) if request.param == "in process" else None
    with httpx.Client(transport=transport) as http:
        yield package.LlamaStackClient(base_url=running.url, max_retries=0, http_client=http)


@pytest.fixture(params=["http", "in process"])
async def allama(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Any]:
    """The asynchronous client, on another loop than the stack's."""
    transport = in_process_transport(running.stack, httpx) if request.param == "in process" else None
    async with httpx.AsyncClient(transport=transport) as http:
        yield package.AsyncLlamaStackClient(base_url=running.url, max_retries=0, http_client=http)


@pytest.fixture
def datasets(llama: Any, new: bool) -> Any:
    """The data sets, where this version has them."""
    return llama.beta.datasets if new else llama.datasets


@pytest.fixture
def benchmarks(llama: Any, new: bool) -> Any:
    """The benchmarks, where this version has them."""
    return llama.alpha.benchmarks if new else llama.benchmarks
