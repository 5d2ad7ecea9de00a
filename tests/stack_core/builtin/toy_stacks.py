"""Run files with toy providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MODULE = "tests.stack_core.builtin.toy_providers"


def entry(name: str, kind: str = "", **config: Any) -> dict[str, Any]:
    """A toy provider: `entry("toy-guard")`."""
    return {"provider_id": name, "provider_type": f"inline::{kind or name}", "module": MODULE, "config": config}


def run_file(folder: Path, registered: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A stack with one provider of everything that registries need."""
    providers = {
        "safety": [entry("toy-guard")],
        "eval": [entry("toy-eval")],
        "scoring": [entry("toy-scoring")],
        "tool_runtime": [entry("toy-tools")],
        "datasetio": [
            {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {"roots": [str(folder)]}}
        ],
        **more.pop("providers", {}),
    }
    storage = {
        "backends": {
            "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
            "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
        },
        "stores": {"metadata": {"namespace": "registry", "backend": "kv"}},
    }
    return {
        "image_name": "toys",
        "providers": providers,
        "storage": storage,
        "registered_resources": registered or {},
        **more,
    }
