"""The server that is fuzzed: a process of its own with everything that runs without a service elsewhere."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.stack_core.builtin.toy_stacks import entry
from tests.upstream import upstream

MODEL = {"model_id": "chat", "provider_id": "up", "provider_model_id": "tiny"}
EMBEDDING = {
    "model_id": "embed",
    "provider_id": "up",
    "provider_model_id": "embed",
    "model_type": "embedding",
    "metadata": {"embedding_dimension": 8},
}


class Served(NamedTuple):
    """A running server: its URL, its process, and the file with what it logs."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def tracebacks(self) -> str:
        """The last of what it logged."""
        return self.log.read_text("utf-8", "replace")[-6000:]


def run_file(folder: Path, service: str) -> dict[str, Any]:
    """The run file: every store is in `folder`, `service` is the URL of the models."""
    rows = folder / "rows"
    rows.mkdir()
    (rows / "rows.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n' * 20)
    indexes = [name for name, package in (("faiss", "faiss"), ("sqlite-vec", "sqlite_vec")) if find_spec(package)]
    return {
        "name": "fuzzed",
        "providers": {
            "inference": [{"provider_id": "up", "provider_type": "remote::vllm", "config": {"url": service}}],
            "files": [_inline("localfs", storage_dir=str(folder / "files"))],
            "datasetio": [_inline("localfs", roots=[str(rows)])],
            "batches": [_inline("reference")],
            "vector_io": [_inline(name) for name in indexes],
            "eval": [entry("toy-eval")],
            "safety": [entry("toy-guard")],
            "scoring": [entry("toy-scoring")],
            "tool_runtime": [entry("toy-tools")],
        },
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql_default": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {"metadata": {"backend": "kv_default"}, "inference": {"backend": "sql_default"}},
        },
        "registered_resources": {"models": [MODEL, EMBEDDING]},
        "telemetry": {"enabled": True},
    }


def _inline(name: str, **config: Any) -> dict[str, Any]:
    return {"provider_id": name, "provider_type": f"inline::{name}", "config": config}


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    """The server with its stores in `folder`; it is ended by its own id."""
    log = folder / "log"
    with upstream(chunks=3) as service, log.open("w") as out:
        file = folder / "run.yaml"
        file.write_text(yaml.safe_dump(run_file(folder, service.url)), "utf-8")
        command = [sys.executable, "-m", "stack_core", "run", "--json", "--port", "0", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"it did not start: {log.read_text()}"
            yield Served(json.loads(line)["url"], process, log)
        finally:
            process.kill()
            process.communicate(timeout=10)
