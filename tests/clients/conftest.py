"""The whole stack, once for all clients of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.whole import whole_stack
from tests.stack_core.running import Running


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Open and served."""
    with whole_stack(tmp_path_factory.mktemp("whole")) as found:
        yield found
