"""The distributions of the package are Llama Stack's, written without repeating themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack_core import distributions
from stack_core.config import RunConfig, load_config
from stack_core.errors import ConfigError

SHARED = Path(__file__).parents[3] / "shared" / "distributions"
GIVEN = sorted(f"{file.parent.name}/{file.stem}" for file in SHARED.glob("*/run*.yaml"))
KEYS = ["OLLAMA_URL", "SAFETY_MODEL", "CHROMADB_URL", "INFERENCE_MODEL", "ENABLE_PGVECTOR", "PGVECTOR_DB"]


def plain(config: RunConfig) -> dict[str, Any]:
    """The whole configuration, rows in the order of their ids."""
    data = config.model_dump(mode="json")
    data["providers"] = {api: sorted(rows, key=lambda r: r["provider_id"]) for api, rows in data["providers"].items()}
    data["apis"] = sorted(data["apis"])
    data["registered_resources"]["models"].sort(key=lambda row: row["model_id"])
    return data


@pytest.mark.skipif(not GIVEN, reason="../shared is not here")
@pytest.mark.parametrize("variables", [{}, dict.fromkeys(KEYS, "x")], ids=["bare", "set"])
@pytest.mark.parametrize("name", GIVEN)
def test_ours_is_llama_stack_s(name: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    ours = load_config(name.removesuffix("/run"), variables)
    theirs = load_config(SHARED / f"{name}.yaml", variables)
    given = plain(theirs)
    if name == "nvidia/run-with-safety":  # theirs has the guardrails under inference as well, where they do nothing
        given["providers"]["inference"] = given["providers"]["inference"][:1]
    assert plain(ours) == given
    assert {u.name for u in ours.unset} == {u.name for u in theirs.unset}
    assert {o.provider_id for o in ours.off} == {o.provider_id for o in theirs.off}


def test_a_base_is_no_distribution() -> None:
    assert "_base" not in distributions.names()
    assert {"starter", "starter/run-with-postgres-store", "notebook"} <= set(distributions.names())


def test_a_stack_extends_a_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQLITE_STORE_DIR", raising=False)
    config = load_config(
        "extends: starter\nname: lab\nwithout: [safety/code-scanner, inference/openai]\n"
        "providers:\n  inference: [llama-cpp]\n  tool_runtime: []\nvector_stores: {default_provider_id: null}\n"
    )
    assert config.name == "lab"
    ids = [row.provider_id for row in config.providers["inference"]]
    assert "llama-cpp" in ids
    assert "groq" in ids
    assert "openai" not in ids
    assert [row.provider_id for row in config.providers["safety"]] == ["llama-guard"]
    assert config.vector_stores is not None
    assert list(config.vector_stores) == ["default_embedding_model"]
    assert str(config.storage.backends["kv_default"]["db_path"]).endswith("/distributions/lab/kvstore.db")


def test_a_backend_of_another_type_replaces() -> None:
    config = load_config(
        {"extends": "starter", "name": "lab", "storage": {"backends": {"kv_default": {"type": "kv_redis"}}}}
    )
    assert config.storage.backends["kv_default"] == {"type": "kv_redis"}
    assert config.storage.backends["sql_default"]["type"] == "sql_sqlite"
    assert config.storage.stores.metadata is not None


def test_a_file_extends_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("name: base\nproviders: {inference: ollama}\n")
    (tmp_path / "lab.yaml").write_text("extends: base.yaml\nname: lab\nproviders: {inference: [llama-cpp]}\n")
    config = load_config(tmp_path / "lab.yaml")
    assert [row.provider_id for row in config.providers["inference"]] == ["ollama", "llama-cpp"]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'safety/code-scaner' is not in what is extended") as caught:
        load_config({"extends": "starter", "name": "lab", "without": ["safety/code-scaner"]})
    assert "safety/code-scanner" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="neither a distribution nor a file") as caught:
        load_config({"extends": "startr", "name": "lab"})
    assert "starter" in str(caught.value.hint)
    (tmp_path / "a.yaml").write_text("extends: b.yaml\nname: a\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\nname: b\n")
    with pytest.raises(ConfigError, match="circle"):
        load_config(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="without"):
        load_config({"extends": "starter", "name": "lab", "without": "safety"})
