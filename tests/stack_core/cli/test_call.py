"""`call`, `export`, `stop`, `rm` and `completion`: what each does, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stack_core.cli import main
from stack_core.config import load_config
from stack_core.server import running
from tests.stack_core.cli.test_cli import printed

ECHO = {"provider_id": "echo", "provider_type": "inline::echo", "module": "tests.stack_core.echo_provider"}


@pytest.fixture
def run_file(tmp_path: Path) -> str:
    """A run file whose stores and files are in a folder of the test."""
    folder = str(tmp_path)
    content = {
        "name": "called",
        "providers": {
            "inference": [ECHO],
            "files": [{"provider_type": "inline::localfs", "config": {"storage_dir": f"{folder}/files"}}],
        },
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": f"{folder}/kv.db"},
                "sql": {"type": "sql_sqlite", "db_path": f"{folder}/sql.db"},
            },
            "stores": {"metadata": {"backend": "kv", "namespace": "registry"}},
        },
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_call_and_its_result(run_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    models = json.loads(printed(capsys, "call", "models.list_models", "--on", run_file))
    assert [model["identifier"] for model in models["data"]] == ["echo/one", "echo/two"]
    messages = 'messages=[{"role": "user", "content": "a b"}]'
    answer = printed(capsys, "call", "inference.chat_completion", "model=echo/one", messages, "--on", run_file)
    assert json.loads(answer)["choices"][0]["message"]["content"] == "a b"
    lines = printed(
        capsys, "call", "inference.chat_completion", "model=echo/one", messages, "stream=true", "--on", run_file
    ).splitlines()
    assert "".join(json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines) == "a b"


def test_files_go_in_and_come_out(run_file: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    content = bytes(range(256)) * 100
    (tmp_path / "data.bin").write_bytes(content)
    on = ("--on", run_file)
    assert main(["call", "files.create_file", f"file=@{tmp_path}/data.bin", "purpose=user_data", *on]) == 0
    made = json.loads(capfdbinary.readouterr().out)
    assert (made["filename"], made["bytes"]) == ("data.bin", len(content))
    assert main(["call", "files.get_file_content", f"file_id={made['id']}", *on]) == 0
    assert capfdbinary.readouterr().out == content


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models.lst"], "models.list_models"),
        (["model.list_models"], "did you mean models"),
        (["models"], "is not API.METHOD"),
        (["models.get_model", "echo"], "is not name=value"),
        (["models.get_model", "id=x"], "unknown argument, did you mean model_id?"),
        (["models.get_model", "model_id=x"], "not found"),
        (["models.get_model", "model_id=@/no/such/file"], "cannot be read"),
        (["models.get_model", "model_id=[1"], "model_id"),
    ],
)
def test_mistakes_are_told(arguments: list[str], told: str, run_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", *arguments, "--on", run_file]) == 1
    assert told in capsys.readouterr().err


def test_an_exported_run_file_is_the_same_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-must-not-be-written")
    path = tmp_path / "run.yaml"
    assert main(["export", "dell/run-with-safety", "--output", str(path)]) == 0
    text = path.read_text()
    assert "sk-must-not" not in text
    assert "${env.SAFETY_MODEL}" in text
    assert "extends" not in text
    assert load_config(path).model_dump(exclude={"source"}) == load_config("dell/run-with-safety").model_dump(
        exclude={"source"}
    )
    assert main(["export", "dell", "--output", str(path)]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["export", "dell", "--output", str(path), "--force"]) == 0
    needed = printed(capsys, "export", "starter", "--what", "requirements").splitlines()
    assert needed == printed(capsys, "list-deps", "starter").splitlines()


def test_removing_what_a_stack_keeps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / ".llama/distributions/lab"
    (folder / "files").mkdir(parents=True)
    (folder / "files/a").write_text("abc")
    assert main(["rm", "lap"]) == 1
    assert "did you mean lab?" in capsys.readouterr().err
    if not sys.stdin.isatty():
        assert main(["rm", "lab"]) == 1
        assert "--yes" in capsys.readouterr().err
    assert json.loads(printed(capsys, "rm", "lab", "--yes", "--json"))["bytes"] == 3
    assert not folder.exists()
    assert main(["rm", ".."]) == 1


def test_a_server_is_known_while_it_lives(home: Path) -> None:
    assert running.servers() == []
    code = (
        "import sys\nfrom stack_core.server.running import noted\n"
        "with noted('lab', 'http://127.0.0.1:1', 1):\n    print('ready', flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (found,) = running.servers()
        assert (found.name, found.port, found.pid) == ("lab", 1, process.pid)
    finally:
        process.kill()  # it cannot clear up after itself
        process.communicate()
    assert list((home / ".llama/servers").iterdir()) != []
    assert running.servers() == []
    assert list((home / ".llama/servers").iterdir()) == []


def test_stopping_when_nothing_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "stop") == "no server of yours runs\n"
    assert main(["stop", "8321"]) == 1
    assert "not found" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_is_stopped_by_its_name(run_file: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "stack_core", "run", run_file, "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(home)})
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        listed = json.loads(printed(capsys, "call", "models.list_models", "--on", url))
        assert len(listed["data"]) == 2
        assert main(["rm", "called"]) == 1
        capsys.readouterr()
        assert url in printed(capsys, "stop", "called")
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()


def test_completion_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh"):
        script = printed(capsys, "completion", shell)
        assert "list-distributions" in script
        assert "conformance" in script


def lacking(folder: Path) -> str:
    """A run file with a provider of a package that is not installed, and that is a small one."""
    (folder / "providers.d/inline/inference").mkdir(parents=True)
    (folder / "providers.d/inline/inference/lacking.yaml").write_text(
        "module: lacking_provider\npip_packages: [ordered-set-stubs-that-nobody-has]\n"
    )
    path = folder / "lacking.yaml"
    rows = [{"provider_id": "lacking", "provider_type": "inline::lacking"}]
    content = {"name": "lacking", "providers": {"inference": rows}, "external_providers_dir": f"{folder}/providers.d"}
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_missing_packages_are_offered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = lacking(tmp_path)
    assert printed(capfd, "list-deps", source) == "ordered-set-stubs-that-nobody-has\n"
    if not sys.stdin.isatty():
        assert main(["run", source, "--with-deps", "--port", "0"]) == 1
        told = capfd.readouterr().err
        assert "pip install ordered-set-stubs-that-nobody-has" in told
        assert "--yes" in told
    assert main(["run", source, "--yes"]) == 1
    assert "--with-deps" in capfd.readouterr().err


@pytest.mark.slow
def test_what_pip_cannot_install_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", lacking(tmp_path), "--with-deps", "--yes", "--port", "0"]) == 1
    assert "pip could not install ordered-set-stubs-that-nobody-has" in capfd.readouterr().err
