"""Run files load unchanged, the short form expands to them, and every mistake has a place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, distributions
from stack_core.config import load_config
from stack_core.errors import ConfigError, UnknownProvider
from stack_core.redaction import MASK
from stack_core.resolver import plan
from stack_core.substitution import Substitution

SHARED = Path(__file__).parents[2].parent / "shared" / "distributions"
RUN_FILES = sorted(SHARED.glob("*/run*.yaml"))
FILES = sorted(SHARED.glob("*/*.yaml"))


INDEXES = ("builtin", "faiss", "sqlite-vec")
HEADERS = {"Authorization": "Bearer head-secret-5", "X-API-Key": "head-secret-5", "Cookie": "sid=secret-6"}


@pytest.mark.skipif(not RUN_FILES, reason="the folder of facts is not beside the project")
@pytest.mark.parametrize("path", RUN_FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_run_file_of_llama_stack_parses(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.parent.name
    assert config.providers["inference"] or config.off


@pytest.mark.skipif(not FILES, reason="the folder of facts is not beside the project")
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_file_of_llama_stack_can_be_planned(path: Path) -> None:
    unset = {variable.name: "dummy" for variable in load_config(path).unset}
    config = load_config(path, env=unset)
    assert config.unset == ()
    assert config.name == path.parent.name
    for provider in plan(config).providers.values():
        assert provider.error is None or provider.error.message


def test_a_build_file_becomes_a_run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_URL", raising=False)
    (tmp_path / "lab").mkdir()
    file = tmp_path / "lab" / "build.yaml"
    file.write_text(
        "version: 2\ndistribution_spec:\n  description: d\n  providers:\n    inference:\n"
        "    - provider_type: remote::vllm\n    - provider_type: inline::minilm\nimage_type: venv\n"
    )
    config = load_config(file)
    assert (config.name, config.description) == ("lab", "d")
    assert [p.provider_type for p in config.providers["inference"]] == ["inline::minilm"]
    assert [off.provider_type for off in config.off] == ["remote::vllm"]
    file.write_text("distribution_spec: {providers: {inference: [3]}}\n")
    with pytest.raises(ConfigError, match=r"distribution_spec\.providers\.inference"):
        load_config(file)


@pytest.mark.parametrize("name", distributions.names())
def test_every_distribution_of_the_package_parses(name: str) -> None:
    assert load_config(name).name


@pytest.mark.parametrize(
    ("text", "env", "value"),
    [
        ("${env.X}", {"X": "v"}, "v"),
        ("${env.X:=d}", {}, "d"),
        ("${env.X:=d}", {"X": "v"}, "v"),
        ("${env.X:=d}", {"X": ""}, "d"),
        ("${env.X:=}", {}, None),
        ("${env.X:+on}", {"X": "v"}, "on"),
        ("${env.X:+on}", {}, None),
        ("${env.X:=true}", {}, True),
        ("${env.X}", {"X": "FALSE"}, False),
        ("${env.X:=4096}", {}, 4096),
        ("${env.X:=0.5}", {}, 0.5),
        ("a ${env.X} b ${env.Y:=2}", {"X": "1"}, "a 1 b 2"),
        ("${env.X:=http://h:1/v1?a=b}", {}, "http://h:1/v1?a=b"),
        ("4096", {}, "4096"),
        ("$HOME {env.X}", {}, "$HOME {env.X}"),
        ("${env.X:=~/data}/db", {}, str(Path("~/data").expanduser()) + "/db"),
    ],
)
def test_substitution(text: str, env: dict[str, str], value: Any) -> None:
    substitution = Substitution(env)
    got = substitution.apply(text)
    assert got == value
    assert type(got) is type(value)
    assert substitution.unset == []


def test_unset_variables_are_collected_with_their_places() -> None:
    config = load_config(
        {
            "name": "x",
            "providers": {"inference": [{"provider_type": "remote::vllm", "config": {"url": "${env.NO_SUCH_URL}"}}]},
        }
    )
    assert [(u.name, u.where) for u in config.unset] == [("NO_SUCH_URL", "providers.inference[0].config.url")]


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a substitution"):
        load_config({"name": "x", "server": {"host": "${env.HOST:}"}})


def test_a_switched_off_provider_needs_no_variables() -> None:
    rows = [
        {"provider_id": "${env.NO_SUCH:+dell}", "provider_type": "remote::tgi", "config": {"url": "${env.NO_SUCH}"}}
    ]
    config = load_config({"name": "x", "providers": {"inference": rows}})
    assert config.unset == ()
    assert [(off.provider_id, off.variable) for off in config.off] == [("dell", "NO_SUCH")]
    assert config.providers["inference"] == []


def test_resources_of_a_switched_off_provider_are_left_out() -> None:
    models = [{"model_id": "m", "provider_id": "${env.NO_SUCH:+x}"}, {"model_id": "n", "provider_id": "y"}]
    config = load_config({"name": "x", "registered_resources": {"models": models}})
    assert [m.model_id for m in config.registered_resources.models] == ["n"]


def test_short_form_of_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    text = """
name: lab
providers:
  inference: [ollama, "openai?"]
  vector_io: faiss
  safety: llama-guard
models: {fast: ollama/llama3.2:3b, smart: openai/gpt-4o}
default: fast
budget: {usd: 1.00}
"""
    config = load_config(text)
    assert config.name == "lab"
    assert [(p.provider_id, p.provider_type) for p in config.providers["inference"]] == [("ollama", "remote::ollama")]
    assert config.providers["inference"][0].config["url"] == "http://localhost:11434"
    assert [off.variable for off in config.off] == ["OPENAI_API_KEY"]
    assert config.providers["vector_io"][0].provider_type == "inline::faiss"
    assert config.aliases == {"fast": "ollama/llama3.2:3b", "smart": "openai/gpt-4o"}
    assert (config.default_model, config.budget and config.budget.usd) == ("fast", 1.0)
    on = load_config(text, env={"OPENAI_API_KEY": "sk-from-a-dotenv-file"})
    assert [p.provider_id for p in on.providers["inference"]] == ["ollama", "openai"]


def test_short_form_mixes_names_configs_and_full_entries() -> None:
    rows = [{"vllm": {"url": "http://h:1/v1"}}, {"provider_type": "remote::tgi", "config": {"url": "http://t"}}]
    config = load_config({"name": "x", "providers": {"inference": rows}})
    assert [(p.provider_id, p.config["url"]) for p in config.providers["inference"]] == [
        ("vllm", "http://h:1/v1"),
        ("tgi", "http://t"),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("name: x\n  providers: {", ConfigError, ["line 2", "column", "not valid YAML"]),
        ("- a\n- b\n", ConfigError, ["a list", "mapping"]),
        ("just text\nand more", ConfigError, ["a str"]),
        ("name: x\nproviders:\n  inference: [olama]\n", UnknownProvider, ["line 3", "olama"]),
        ("name: x\nproviders:\n  infrence: [ollama]\n", ConfigError, ["line 3", "infrence"]),
        ("name: x\nprovider: {}\n", ConfigError, ["line 2", "unknown key", "providers"]),
        ("name: x\nserver: {port: 99999}\n", ConfigError, ["line 2", "server.port"]),
        ("name: x\nbudget: {eur: 3}\n", ConfigError, ["line 2", "budget.eur"]),
        ("name: x\nmodels: {fast: llama}\n", ConfigError, ["line 2", "provider_id/model"]),
        ("name: x\nproviders: [ollama]\n", ConfigError, ["line 2", "map APIs to providers"]),
        ("name: x\nproviders: {inference: [{provider_type: 5}]}\n", ConfigError, ["line 2", "a provider is"]),
        ("name: x\nproviders: {inference: [{5: {}}]}\n", ConfigError, ["line 2", "a provider is"]),
        ("name: x\nproviders: {inference: {null: {}}}\n", ConfigError, ["line 2", "a provider is"]),
        ("name: x\nproviders: {inference: ['::']}\n", UnknownProvider, ["line 2", "'::'"]),
        ("name: x\nproviders: {inference: '${env.NO_SUCH}'}\n", ConfigError, ["line 2", "NO_SUCH is not set"]),
        ("name: x\nmodels: {fast: [a/b]}\n", ConfigError, ["line 2", "provider_id/model"]),
        ("name: x\nmodels: {fast: a/}\n", ConfigError, ["line 2", "provider_id/model"]),
        ("name: x\nmodels: {fast: {model: a/b, modl_type: llm}}\n", ConfigError, ["line 2", "modl_type"]),
        ("models: {a: b/c}\nregistered_resources: {models: 5}\n", ConfigError, ["line 2", "a list"]),
        ("models: {a: b/c}\nregistered_resources: [1]\n", ConfigError, ["line 2", "registered_resources"]),
        ("name: x\nname: y\n", ConfigError, ["line 2", "'name' comes twice"]),
        ("name: [a]\nversion: 2\n", ConfigError, ["line 1", "a text"]),
        ("name: x\nversion: 9\n", ConfigError, ["line 2", "version 9"]),
        ("name: x\nsafety: &a {b: *a}\n", ConfigError, ["holds itself"]),
        ("name: x\nsafety: {b: !!binary /w==}\n", ConfigError, ["line 2", "!!binary"]),
        ("name: x\nmodels: {a: {model: b/c, metadata: {price: {input: x}}}}\n", ConfigError, ["price"]),
    ],
)
def test_mistakes_have_a_place(text: str, kind: type[ConfigError], words: list[str]) -> None:
    with pytest.raises(kind) as caught:
        load_config(text)
    for word in words:
        assert word in caught.value.message


def test_sections_and_configs_that_are_empty_are_not_there() -> None:
    text = "name: x\ntelemetry:\nserver:\nproviders:\n  inference:\n  - provider_type: remote::ollama\n    config:\n"
    config = load_config(text)
    assert config.telemetry.enabled
    assert config.providers["inference"][0].config == {}


def test_variables_in_the_short_form_are_known_before_it_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQLITE_STORE_DIR", raising=False)
    text = """
name: ${env.WHO:=me}
providers: {inference: ["${env.ENGINE:=llama-cpp}", "${env.WITH_OLLAMA:+ollama}"]}
models: {fast: "${env.FAST:=llama-cpp/tutorial}", big: "${env.WITH_OLLAMA:+ollama/big}"}
"""
    config = load_config(text)
    assert [p.provider_id for p in config.providers["inference"]] == ["llama-cpp"]
    assert [off.variable for off in config.off] == ["WITH_OLLAMA"]
    assert config.aliases == {"fast": "llama-cpp/tutorial"}
    assert config.storage.backends["kv_default"]["db_path"].endswith("/me/kvstore.db")
    on = load_config(text, env={"WITH_OLLAMA": "1", "FAST": "ollama/small"})
    assert on.aliases == {"fast": "ollama/small", "big": "ollama/big"}


def test_a_name_does_not_lead_out_of_the_folder_of_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQLITE_STORE_DIR", raising=False)
    for name in ("../../etc", "..", "a/b}c"):
        path = Path(load_config({"name": name}).storage.backends["kv_default"]["db_path"])
        assert path.parent.parent == Path("~/.llama/distributions").expanduser()
        assert path.parent.name.strip(".")


async def test_bare_names_need_no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("SQLITE_STORE_DIR", "FILES_STORAGE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    names = {"files": "localfs", "datasetio": "localfs", "batches": "reference", "inference": "llama-cpp"}
    async with Stack.open({"name": "lab", "providers": {**names, "vector_io": list(INDEXES)}}) as stack:
        made = {(row.api, row.provider_id): row for row in (await stack.providers.list_providers()).data}
        assert {key for key, row in made.items() if row.health.status != "OK"} == set()
        for index in INDEXES:
            await stack.vector_stores.create_vector_store(provider_id=index, embedding_dimension=3)
        await stack.files.create_file(file=("a.txt", b"text"), purpose="assistants")
    folder = tmp_path / ".llama" / "distributions" / "lab"
    assert {entry.name for entry in folder.iterdir()} >= {"files", "kvstore.db", "sql_store.db", "sqlite_vec.db"}


def test_an_api_whose_providers_are_all_off_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_URL", raising=False)
    names: dict[str, Any] = {"batches": "reference", "files": "localfs"}
    assert ("batches", "reference") in plan(load_config({"providers": {**names, "inference": "vllm?"}})).order
    with pytest.raises(ConfigError, match="reference needs a provider of files"):
        plan(load_config({"providers": {"batches": "reference", "inference": "vllm?"}}))


def test_keys_of_digits_and_dates_stay_text() -> None:
    config = load_config(
        "name: x\nproviders:\n  inference:\n  - azure:\n      api_key: ${env.K}\n      api_version: 2024-06-01\n",
        env={"K": "00123456"},
    )
    assert config.providers["inference"][0].config["api_key"] == "00123456"
    assert config.providers["inference"][0].config["api_version"] == "2024-06-01"


def test_an_unknown_distribution_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="startr") as caught:
        load_config("startr")
    assert "starter" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="neither a distribution nor a file"):
        load_config(tmp_path / "absent.yaml")


def test_secrets_are_masked_wherever_a_config_is_shown() -> None:
    config = load_config(
        {
            "name": "x",
            "providers": {
                "inference": [
                    {"openai": {"api_key": "sk-very-secret-1"}},
                    {"vllm": {"url": "http://u:pass-word-2@h/v1", "api_token": "tok-secret-3", "max_tokens": 7}},
                    {"tgi": {"url": "http://h/v1?a=b&api_key=arg-secret-4", "network": {"headers": HEADERS}}},
                ]
            },
        }
    )
    shown = str(config.redacted())
    secrets = {"sk-very-secret-1", "pass-word-2", "tok-secret-3", "arg-secret-4", "head-secret-5", "sid=secret-6"}
    for secret in secrets:
        assert secret not in shown
    assert "http://h/v1?a=b&api_key=" in shown
    assert MASK in shown
    assert "'max_tokens': 7" in shown
    assert secrets <= config.secrets()
