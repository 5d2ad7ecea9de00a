"""The notes of servers that run: what else may lie in their folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stack_core.errors import AccessDenied
from stack_core.server import running


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the notes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = tmp_path / ".llama" / "servers"
    made.mkdir(parents=True)
    return made


def test_what_is_no_note_is_passed_over(folder: Path) -> None:
    (folder / "1-1.json").write_text("no JSON")  # and nobody holds it: left behind
    (folder / "folder.json").mkdir()
    (folder / "loop.json").symlink_to(folder / "loop.json")
    with running.noted("mine", "http://127.0.0.1:1", 1):
        reading = "from stack_core.server import running; print([s.name for s in running.servers()])"
        done = subprocess.run([sys.executable, "-c", reading], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("['mine']\n", "")
    assert not (folder / "1-1.json").exists()


def test_a_server_that_just_ended_is_stopped() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    running.stop(running.Running("gone", "http://127.0.0.1:1", 1, process.pid))


def test_the_server_of_another_user_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.kill", refused)
    with pytest.raises(AccessDenied, match="another user's"):
        running.stop(running.Running("theirs", "http://127.0.0.1:1", 1, 1))
