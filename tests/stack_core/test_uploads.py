"""Files through a real stack: the official SDKs, ours, and raw sockets, over HTTP and in process."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import psutil
import pytest
from llama_stack_client import LlamaStackClient

from stack_core import AsyncStackClient
from stack_core.errors import InvalidRequest
from stack_core.transport import in_process_transport
from tests.stack_core.running import Running, running_stack, wait_for

pytestmark = pytest.mark.slow

BIG = 300
"""MB of the big file."""

CONTENT = b"0123456789abcdef" * 150_000
"""More than stays in memory."""


def providers(folder: Path) -> dict[str, Any]:
    """Files in a folder."""
    config = {"storage_dir": str(folder / "files"), "metadata_store": {"table_name": "files", "backend": "sql"}}
    return {"files": [{"provider_id": "local", "provider_type": "inline::localfs", "config": config}]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(folder, providers(folder), apis=["inference", "files"]) as found:
        yield found


@pytest.fixture(params=["http", "aliased", "in process"])
def client(request: pytest.FixtureRequest, running: Running) -> Iterator[openai.OpenAI]:
    """The synchronous SDK."""
    path = "/v1/openai/v1" if request.param == "aliased" else "/v1"
    transport = in_process_transport(running.stack, httpx2) if request.param == "in process" else None
    with httpx2.Client(transport=transport) as http:
        yield openai.OpenAI(base_url=running.url + path, api_key="none", max_retries=0, http_client=http)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A file of some megabytes, which goes to disk on its way."""
    path = tmp_path / "grün paper.txt"
    path.write_bytes(CONTENT)
    return path


def test_openai_keeps_lists_reads_and_deletes_a_file(client: openai.OpenAI, paper: Path) -> None:
    kept = client.files.create(
        file=paper, purpose="assistants", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (kept.filename, kept.bytes, kept.purpose) == (paper.name, paper.stat().st_size, "assistants")
    assert kept.expires_at == kept.created_at + 3600
    assert kept.id in [file.id for file in client.files.list()]
    assert client.files.content(kept.id).content == paper.read_bytes()
    with client.files.with_streaming_response.content(kept.id) as response:
        assert int(response.headers["content-length"]) == kept.bytes
        assert "filename*=UTF-8''gr%C3%BCn%20paper.txt" in response.headers["content-disposition"]
        assert b"".join(response.iter_bytes()) == paper.read_bytes()
    assert client.files.delete(kept.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.content(kept.id)


@pytest.mark.parametrize("how", ["http", "in process"])
@pytest.mark.parametrize("form", ["path", "bytes", "tuple", "open"])
async def test_openai_asynchronously_in_every_form(running: Running, paper: Path, how: str, form: str) -> None:
    transport = in_process_transport(running.stack, httpx2) if how == "in process" else None
    content = CONTENT
    async with httpx2.AsyncClient(transport=transport) as http:
        client = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, http_client=http)
        with paper.open("rb") as opened:
            given: Any = {"path": paper, "bytes": content, "tuple": ("a.csv", content, "text/csv"), "open": opened}
            kept = await client.files.create(file=given[form], purpose="batch")
        assert kept.filename == {"bytes": "upload", "tuple": "a.csv"}.get(form, paper.name)
        async with client.files.with_streaming_response.content(kept.id) as response:
            assert b"".join([piece async for piece in response.iter_bytes()]) == content
        async with client.files.with_streaming_response.content(kept.id) as response:
            assert await anext(response.iter_bytes(1000))  # and leaves the rest


@pytest.mark.parametrize("how", ["http", "in process"])
def test_llama_stacks_client(running: Running, paper: Path, how: str) -> None:
    transport = in_process_transport(running.stack, httpx) if how == "in process" else None
    with httpx.Client(transport=transport) as http:
        client = LlamaStackClient(base_url=running.url, http_client=http, max_retries=0)
        kept = client.files.create(file=paper, purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
        assert kept.bytes == paper.stat().st_size
        assert client.files.delete(kept.id).deleted


async def test_our_client_sends_from_disk_and_reads_in_pieces(running: Running, paper: Path) -> None:
    async with AsyncStackClient(running.url) as client:
        kept = await client.files.create_file(file=paper, purpose="batch")
        content = await client.files.get_file_content(kept.id)
        assert (content.filename, content.size, content.media_type) == (paper.name, kept.bytes, "text/plain")
        assert await content.read() == CONTENT
        left = await client.files.get_file_content(kept.id)
        await anext(left.chunks())
        await left.aclose()
        with pytest.raises(InvalidRequest, match="a file is needed"):
            await client.files.create_file(file="/etc/passwd", purpose="batch")
        with pytest.raises(InvalidRequest, match="purpose"):
            await client.files.create_file(file=paper, purpose="nonsense")


def test_a_file_of_the_client_that_cannot_be_read_raises_at_the_client(running: Running) -> None:
    class Torn:
        name = "torn.txt"

        def read(self, size: int = -1) -> bytes:
            raise OSError("the disk is gone")

    with httpx2.Client(transport=in_process_transport(running.stack, httpx2)) as http:
        with pytest.raises(OSError, match="the disk is gone"):
            http.post("http://stack/v1/files", files={"file": Torn()}, data={"purpose": "batch"})  # type: ignore[arg-type]  # torn on purpose


def test_head_says_what_get_would_send(running: Running, paper: Path) -> None:
    for transport in (None, in_process_transport(running.stack, httpx2)):
        with httpx2.Client(transport=transport, base_url=running.url) as http:
            made = http.post("/v1/files", files={"file": ("a.txt", b"hello")}, data={"purpose": "batch"}).json()
            for _ in range(2):
                head = http.head(f"/v1/files/{made['id']}/content")
                assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
            assert http.get(f"/v1/files/{made['id']}/content").text == "hello"


def _head(url: str, more: str) -> tuple[socket.socket, bytes]:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=xx\r\n{more}\r\n\r\n"
    return connection, head.encode()


def _count(running: Running) -> int:
    return len(httpx2.get(f"{running.url}/v1/files").json()["data"])


BEGIN = b'--xx\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n' + (
    b'--xx\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
)


def test_a_connection_closed_in_the_middle_stores_nothing(running: Running) -> None:
    before, handles = _count(running), psutil.Process().num_fds()
    connection, head = _head(running.url, "content-length: 5000000")
    with connection:
        connection.sendall(head + BEGIN + b"x" * 3_000_000)
    assert wait_for(lambda: psutil.Process().num_fds() <= handles)
    assert _count(running) == before


def test_a_form_without_its_end_is_400_and_stores_nothing(running: Running) -> None:
    before = _count(running)
    content = BEGIN + b"x" * 3_000_000
    connection, head = _head(running.url, f"content-length: {len(content)}")
    with connection:
        connection.sendall(head + content)
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == 400
        assert b"closing boundary" in answer.read()
    assert _count(running) == before


def test_a_length_over_the_limit_is_413_before_a_byte_is_sent(running: Running) -> None:
    connection, head = _head(running.url, f"content-length: {2 * 1024**3}")
    with connection:
        connection.sendall(head)
        assert b" 413 " in connection.recv(65536).split(b"\r\n")[0]


def test_a_big_file_does_not_go_through_memory(tmp_path: Path) -> None:
    """A server of its own, so that its memory is its own; the file goes in and comes back."""
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        for number in range(BIG):
            file.write(bytes([number % 251]) * 1024 * 1024)
    storage = {
        "backends": {"sql": {"type": "sql_sqlite", "db_path": str(tmp_path / "sql.db")}},
        "stores": {"inference": {"backend": "sql"}},
    }
    run_file = tmp_path / "run.yaml"
    run_file.write_text(
        json.dumps(
            {"version": 2, "image_name": "big", "apis": ["files"], "providers": providers(tmp_path), "storage": storage}
        )
    )
    command = [sys.executable, "-m", "stack_core", "run", "--json", str(run_file), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=10)[1]
        grown = asyncio.run(_there_and_back(json.loads(line)["url"], big, psutil.Process(process.pid)))
        assert grown < 60 * 1024 * 1024
    finally:
        process.terminate()
        process.communicate(timeout=20)


async def _there_and_back(url: str, big: Path, server: psutil.Process) -> int:
    """Bytes by which the server's memory grew at its highest."""
    async with AsyncStackClient(url) as client:
        small = await client.files.create_file(file=("a.txt", b"warm"), purpose="batch")
        await (await client.files.get_file_content(small.id)).read()
        before = most = server.memory_info().rss
        mine = psutil.Process().memory_info().rss
        work = asyncio.create_task(client.files.create_file(file=big, purpose="batch"))
        while not work.done():
            most = max(most, server.memory_info().rss)
            await asyncio.wait([work], timeout=0.05)
        kept = await work
        assert kept.bytes == BIG * 1024 * 1024
        content = await client.files.get_file_content(kept.id)
        size = 0
        async for piece in content.chunks():
            size += len(piece)
            most = max(most, server.memory_info().rss)
        assert size == kept.bytes
        assert psutil.Process().memory_info().rss - mine < 60 * 1024 * 1024
        return most - before
