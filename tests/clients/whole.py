"""One stack with everything that runs here, for every client: chat by a real upstream service, embeddings of its own
where the weights are, files, two vector indexes, data sets, batches, and small providers of the registries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stack_core.errors import ConfigError
from stack_core.providers.inference.minilm import fetch
from tests.stack_core.builtin.toy_stacks import entry
from tests.stack_core.running import Running, running_stack


def embeddings() -> tuple[str, int]:
    """The embedding model and the length of its vectors: the embedded one where its weights can be had, else the
    upstream's."""
    try:
        fetch()
    except ConfigError:
        return "up/embed", 8
    return "minilm/all-MiniLM-L6-v2", 384


def kept(kind: str, **config: Any) -> dict[str, Any]:
    """A provider of the stack's own."""
    return {"provider_id": kind.rpartition("::")[2], "provider_type": kind, "config": config}


@contextmanager
def whole_stack(folder: Path) -> Iterator[Running]:
    """Served over HTTP; its stores are in `folder`. No provider of responses, agents and their like is configured."""
    model, _ = embeddings()
    provider_id, _, name = model.partition("/")
    own = [kept("inline::minilm")] if provider_id == "minilm" else []
    providers = {
        "inference": own,
        "files": [
            {"provider_id": "meta-reference-files", "provider_type": "inline::localfs"}
            | {
                "config": {
                    "storage_dir": str(folder / "files"),
                    "metadata_store": {"table_name": "f", "backend": "sql"},
                }
            }
        ],
        "vector_io": [kept("inline::faiss"), kept("inline::sqlite-vec", db_path=str(folder / "vectors.db"))],
        "datasetio": [kept("inline::localfs", roots=[str(folder)])],
        "batches": [kept("inline::reference", kvstore={"namespace": "batches", "backend": "kv"})],
        "safety": [entry("toy-guard")],
        "eval": [entry("toy-eval")],
        "scoring": [entry("toy-scoring")],
        "tool_runtime": [entry("toy-tools")],
    }
    default = {
        "default_provider_id": "faiss",
        "default_embedding_model": {"provider_id": provider_id, "model_id": name},
    }
    groups = [{"toolgroup_id": "maths", "provider_id": "toy-tools"}]
    more = {"vector_stores": default, "registered_resources": {"tool_groups": groups}}
    with running_stack(folder, providers, **more) as found:
        yield found
