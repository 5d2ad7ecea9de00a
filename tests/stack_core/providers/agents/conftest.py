"""A stack with agents, tools and a guard, whose model says what the test wrote down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from tests.stack_core.providers.agents.workshop import run_file


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Any]:
    """Open, with stores of its own."""
    async with Stack.open(run_file(tmp_path)) as found:
        yield found
