"""`pytest --nbval notebooks` compares saved outputs with fresh ones: no streams, no times, stores of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from llama_magics.render.vendor import mime
from llama_magics.results import Shown

_stores = tempfile.TemporaryDirectory(prefix="llama-magics-notebooks-", ignore_cleanup_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Times and the like are masked without having to say so on the command line."""
    if getattr(config.option, "nbval_sanitize_with", "absent") is None:
        config.option.nbval_sanitize_with = str(Path(__file__).parent / "sanitise.cfg")


def pytest_collectstart(collector: pytest.Collector) -> None:
    """nbval masks texts only. The data beside them, with its times and trace ids, is left to the tests of rendering."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += tuple(mime(kind) for kind in Shown.__subclasses__())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The kernel of a notebook starts with its first cell and inherits the environment of then."""
    if Path(__file__).parent not in item.path.parents:  # pytest asks about the tests of every folder
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMA_MAGICS_LIVE", "0")  # nbval sees the first state of a display and none of its updates
        patch.setenv("SQLITE_STORE_DIR", _stores.name)
        return (yield)


def pytest_unconfigure() -> None:
    """Take the stores away."""
    _stores.cleanup()
