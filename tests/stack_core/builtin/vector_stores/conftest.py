"""A stack with real indexes, kept files and word-counting embeddings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack

Config = Callable[..., dict[str, Any]]
MODULE = "tests.stack_core.builtin.vector_stores.words_provider"
INDEXES: dict[str, dict[str, Any]] = {
    "builtin": {"provider_id": "builtin", "provider_type": "inline::builtin"},
    "faiss": {"provider_id": "faiss", "provider_type": "inline::faiss"},
    "sqlite-vec": {"provider_id": "sqlite-vec", "provider_type": "inline::sqlite-vec"},
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A run file over stores in this test's folder; `index` and `words` choose the providers, the rest is added."""

    def made(*, index: str = "faiss", words: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        row = dict(INDEXES[index])
        row["config"] = {"db_path": str(tmp_path / "vec.db")} if index == "sqlite-vec" else {}
        files = {"storage_dir": str(tmp_path / "files")}
        return {
            "image_name": "vectors",
            "providers": {
                "inference": [
                    {"provider_id": "w", "provider_type": "inline::words", "module": MODULE, "config": words or {}}
                ],
                "files": [{"provider_id": "localfs", "provider_type": "inline::localfs", "config": files}],
                "vector_io": [row],
            },
            "storage": {
                "backends": {
                    "kv": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")},
                    "sql": {"type": "sql_sqlite", "db_path": str(tmp_path / "sql.db")},
                },
                "stores": {"metadata": {"backend": "kv"}},
            },
            **more,
        }

    return made


@pytest.fixture(params=INDEXES)
async def stack(request: pytest.FixtureRequest, config: Config) -> AsyncIterator[Stack]:
    """Open, on each index."""
    async with Stack.open(config(index=request.param)) as found:
        yield found


@pytest.fixture
async def faiss(config: Config) -> AsyncIterator[Stack]:
    """Open, for what does not depend on the index."""
    async with Stack.open(config()) as found:
        yield found
