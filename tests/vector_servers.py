"""Real servers of vector databases for tests, each on a private port and folder. One of each serves the session; its
fixture skips where the server's package is not installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import Server, _folder, _running


class ChromaServer(Server):
    """Chroma's own server."""

    def __init__(self, folder: Path, port: int) -> None:
        program = str(Path(sys.executable).parent / "chroma")
        options = ["--path", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
        super().__init__(folder, [program, "run", *options], port)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether it takes calls."""
        try:
            return httpx.get(f"{self.url}/api/v2/heartbeat", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()  # asked to end, it waits for its clients to hang up


@pytest.fixture(scope="session")
def chromadb_server() -> Iterator[ChromaServer]:
    """A Chroma server of this session."""
    pytest.importorskip("chromadb")
    with _folder(None) as folder, _running(lambda port: ChromaServer(folder, port)) as server:
        yield server


class MilvusServer(Server):
    """Milvus Lite as a server of its own: it speaks Milvus' gRPC."""

    def __init__(self, folder: Path, port: int) -> None:
        program = str(Path(sys.executable).parent / "milvus-lite")
        options = ["--data-dir", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
        super().__init__(folder, [program, "server", *options], port)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[MilvusServer]:
    """A Milvus server of this session."""
    pytest.importorskip("milvus_lite")
    with _folder(None) as folder, _running(lambda port: MilvusServer(folder, port)) as server:
        yield server
