"""The command line: what each verb prints, how errors look, how fast it starts."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stack_core import distributions
from stack_core.apis import APIS, all_routes
from stack_core.cli import VERBS, main


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that succeeds prints."""
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_ends_in_an_example_and_takes_json(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"stack-core {verb}" in text.rstrip().rpartition("\n")[2]
    assert "--json" in text


def test_apis(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "list-apis", "--json"))
    assert [row["api"] for row in rows] == list(APIS)
    assert sum(len(row["routes"]) for row in rows) == len(all_routes())
    assert "POST /v1/chat/completions" in printed(capsys, "list-apis")


def test_providers(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["provider_type"]: row for row in json.loads(printed(capsys, "list-providers", "inference", "--json"))}
    assert rows["inline::minilm"]["status"] == "ready"
    assert rows["inline::meta-reference"]["status"] == "not in this version"
    everything = json.loads(printed(capsys, "list-providers", "--json"))
    assert {"inference", "safety", "vector_io"} <= {row["api"] for row in everything}
    assert "inline::minilm" in printed(capsys, "list-providers")


def test_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "list-distributions", "--json"))
    assert [row["name"] for row in rows] == list(distributions.names())
    assert all(row["about"] for row in rows if "/" not in row["name"])
    assert "notebook" in printed(capsys, "list-distributions")


def test_deps_are_requirements_that_pip_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [
        {"provider_id": "b", "provider_type": "remote::bedrock", "config": {}},
        {"provider_id": "m", "provider_type": "inline::meta-reference", "config": {}},
    ]
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"name": "t", "providers": {"inference": entries}}), "utf-8")
    found = json.loads(printed(capsys, "list-deps", str(path), "--json"))
    assert found["not_in_this_version"] == ["inference/inline::meta-reference"]
    for line in found["requirements"]:
        assert ";" not in line
        assert " " not in line
    for name in distributions.names():
        printed(capsys, "list-deps", name)


def test_show_masks_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"url": "http://localhost:1/v1", "api_token": "sk-secret-123"}
    entry = {"provider_id": "v", "provider_type": "remote::vllm", "config": config}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"name": "t", "providers": {"inference": [entry]}}), "utf-8")
    text = printed(capsys, "show", str(path))
    assert "sk-secret-123" not in text
    assert yaml.safe_load(text) == json.loads(printed(capsys, "show", str(path), "--json"))
    assert yaml.safe_load(text)["providers"]["inference"][0]["config"]["url"] == config["url"]


def test_what_is_shown_can_be_loaded_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "again.yaml"
    path.write_text(printed(capsys, "show", "notebook"), "utf-8")
    assert printed(capsys, "show", str(path)) == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["show", "noteboook"], "neither a distribution nor a file", "notebook"),
        (["list-providers", "inferense"], "'inferense' not found", "inference"),
        (["pull", "nothing"], "'nothing' not found", "minilm"),
        (["list-deps", "nowhere.yaml"], "neither a distribution nor a file", "distributions:"),
    ],
)
def test_an_error_is_a_message_and_a_hint(
    arguments: list[str], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert hint in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["show"], ["run", "--port", "70000"], ["show", "a", "--x"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m stack_core list-providers | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from stack_core.cli import parser; parser(); print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "fastapi", "httpx2", "numpy", "rich", "yaml"} & set(done.stdout.split())


def test_a_package_of_our_own_is_named_with_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "list-deps", "notebook").splitlines()
    assert [line for line in lines if line.startswith("xllamacpp==")]
