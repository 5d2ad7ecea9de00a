"""The server that is asked, and ids of what is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.documents import served_document
from tests.fuzz.pool import Pool
from tests.fuzz.served import Served, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all calls of a module, so that they meet what the others left."""
    with served(tmp_path_factory.mktemp("fuzzed")) as found:
        yield found
        assert found.process.poll() is None, found.tracebacks()


@pytest.fixture(scope="module")
def pool(server: Served) -> Pool:
    """Ids of what is there."""
    found = Pool(served_document(), server.url)
    found.fill()
    return found
