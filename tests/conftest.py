"""What every test gets: stores, notebook settings and keys apart from the user's own, and free ports."""

from __future__ import annotations

import gc
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services import mongodb_server, postgres_process, postgres_server, redis_server
from tests.vector_servers import chromadb_server, milvus_server

__all__ = ["chromadb_server", "milvus_server", "mongodb_server", "postgres_process", "postgres_server", "redis_server"]

_folder = tempfile.TemporaryDirectory(prefix="llama-magics-tests-", ignore_cleanup_errors=True)
ALL_SLOW = re.compile(r"^pytestmark = pytest\.mark\.slow$", re.M)


def pytest_configure() -> None:
    """Before any fixture runs: child processes and fixtures of a wider scope must not meet the user's files either."""
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_API_TOKEN"))]:
        del os.environ[name]
    os.environ["SQLITE_STORE_DIR"] = str(Path(_folder.name) / "stores")
    os.environ["IPYTHONDIR"] = str(Path(_folder.name) / "ipython")
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The unit suite does not read modules of which no test is its own: their clients cost seconds to import."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return bool(ALL_SLOW.search(collection_path.read_text("utf-8"))) or None


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end. A collection of garbage, of which IPython makes one for each notebook, needs
    not look through them: that took a third of the unit suite's time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Take the folder away."""
    _folder.cleanup()


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of this test's SQLite stores."""
    folder = tmp_path / "stores"
    monkeypatch.setenv("SQLITE_STORE_DIR", str(folder))
    yield folder


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives ports of 127.0.0.1 on which nothing listens; each at most once in a test."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find
