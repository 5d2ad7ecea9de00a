"""Files with the clients that people have: the `openai` SDK, Llama Stack's, and a plain HTTP client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest
from llama_stack_client import LlamaStackClient

from stack_core.transport import in_process_transport
from tests.stack_core.running import Running, running_stack

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    folder = tmp_path_factory.mktemp("stack")
    entry = {"provider_id": "f", "provider_type": "inline::localfs", "config": {"storage_dir": str(folder / "files")}}
    with running_stack(folder, providers={"files": [entry]}) as found:
        yield found


@pytest.fixture(params=["http", "in process"])
def client(request: pytest.FixtureRequest, running: Running) -> Iterator[openai.OpenAI]:
    made: dict[str, Any] = {"base_url": f"{running.url}/v1"}
    if request.param == "in process":
        transport = in_process_transport(running.stack, httpx2)
        made = {"base_url": "http://stack/v1", "http_client": httpx2.Client(transport=transport)}
    with openai.OpenAI(api_key="none", max_retries=0, **made) as found:
        yield found


@pytest.fixture(params=["http", "in process"])
def llama(request: pytest.FixtureRequest, running: Running) -> Iterator[LlamaStackClient]:
    made: dict[str, Any] = {"base_url": running.url}
    if request.param == "in process":
        transport = in_process_transport(running.stack, httpx)
        made = {"base_url": "http://stack", "http_client": httpx.Client(transport=transport)}
    with LlamaStackClient(max_retries=0, **made) as found:
        yield found


def test_openai(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "Übung.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 300_000)
    file = client.files.create(
        file=path.open("rb"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.filename, file.bytes, file.object, file.status) == (path.name, 2_700_000, "file", "processed")
    assert file.expires_at == file.created_at + 3600
    assert client.files.content(file.id).read() == path.read_bytes()
    with client.files.with_streaming_response.content(file.id) as answer:
        assert sum(map(len, answer.iter_bytes())) == 2_700_000
    assert client.files.retrieve(file.id) == file
    assert client.files.wait_for_processing(file.id) == file
    assert file.id in {f.id for f in client.files.list(purpose="batch")}
    assert file.id not in {f.id for f in client.files.list(purpose="vision")}
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.files.retrieve(file.id)


def test_openai_pages_by_itself(client: openai.OpenAI) -> None:
    made = {client.files.create(file=(f"{at}.txt", b"x"), purpose="evals").id for at in range(5)}
    page = client.files.list(purpose="evals", limit=2)
    assert len(page.data) == 2
    assert page.has_more
    assert {file.id for file in page} == made
    for id in made:
        client.files.delete(id)


def test_openai_is_told_what_is_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="seconds"):
        client.files.create(file=b"x", purpose="batch", expires_after={"anchor": "created_at", "seconds": 1})
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.files.create(file=b"x", purpose="fun")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(openai.BadRequestError, match="after"):
        client.files.list(after="file-of-another-list")


def test_llama_stack(llama: LlamaStackClient) -> None:
    file = llama.files.create(
        file=("a.txt", b"hello"), purpose="assistants", expires_after={"anchor": "created_at", "seconds": 7200}
    )
    assert (file.filename, file.bytes, file.expires_at - file.created_at) == ("a.txt", 5, 7200)
    assert llama.files.retrieve(file.id).id == file.id
    assert file.id in {f.id for f in llama.files.list(purpose="assistants", limit=100)}
    assert llama.files.with_raw_response.content(file.id).read() == b"hello"
    assert llama.files.delete(file.id).deleted


def test_processing_over_http(running: Running) -> None:
    url = f"{running.url}/v1alpha/file-processors/process"
    cut = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    with httpx2.Client() as http:
        whole = http.post(url, files={"file": ("a.html", b"<h1>A</h1><p>b", "text/html")})
        assert whole.json()["chunks"][0]["content"] == "# A\n\nb"
        sent = http.post(
            f"{running.url}/v1/files", files={"file": ("a.txt", b"word " * 500)}, data={"purpose": "vision"}
        )
        form = {"file_id": (None, sent.json()["id"]), "chunking_strategy": (None, json.dumps(cut))}
        found = http.post(url, files=form).json()
        assert [c["metadata"] for c in found["chunks"]] == [{"filename": "a.txt", "file_id": sent.json()["id"]}] * 5
        damaged = http.post(url, files={"file": ("a.pdf", b"none")})
        assert (damaged.status_code, "a.pdf" in damaged.text) == (400, True)
        assert http.post(url, files={"x": (None, "y")}).status_code == 400


async def test_processing_with_our_client(running: Running) -> None:
    from stack_core import AsyncStackClient

    async with AsyncStackClient(running.url) as client:
        file = await client.files.create_file(file=("a.txt", b"text"), purpose="vision")
        kept = await client.file_processors.process_file(file_id=file.id)
        given = await client.file_processors.process_file(file=("a.txt", b"text"))
    assert kept.chunks[0].content == given.chunks[0].content == "text"
