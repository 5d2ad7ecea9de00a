"""Where keys come from, and that they never go out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llama_magics.keys import Keys, variable
from stack_core.errors import InvalidRequest

SECRET = "not-a-real-key-0123456789"


@pytest.fixture(autouse=True)
def no_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_magics.keys._ring", lambda: None)


def test_the_nearest_dotenv_upward_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_KEY=far\nB_KEY=b\n")
    inner = tmp_path / "x" / "y"
    inner.mkdir(parents=True)
    assert Keys(inner).dotenv() == {"A_KEY": "far", "B_KEY": "b"}
    (tmp_path / "x" / ".env").write_text("export A_KEY='near'  # why\n")
    assert Keys(inner).dotenv() == {"A_KEY": "near"}


def test_a_changed_dotenv_is_read_again(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    (tmp_path / ".env").write_text("A_KEY=one")
    assert keys.dotenv()["A_KEY"] == "one"
    (tmp_path / ".env").write_text("A_KEY=two")
    os.utime(tmp_path / ".env", ns=(1, 1))
    assert keys.dotenv()["A_KEY"] == "two"


def test_the_environment_wins_and_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "env")
    (tmp_path / ".env").write_text("A_KEY=file\nC_KEY=c")
    keys = Keys(tmp_path)
    assert keys.where("A_KEY") == "environment"
    assert keys.where("C_KEY") == ".env"
    assert keys.mapping()["C_KEY"] == "c"
    assert "C_KEY" not in os.environ
    assert keys.where("D_KEY") is None


def test_a_stored_key_without_a_keyring(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    assert keys.keep("A_KEY", SECRET) == "session"
    assert keys.known()["A_KEY"] == "session"
    assert SECRET not in repr(keys.known())
    assert keys.forget("A_KEY")
    assert not keys.forget("A_KEY")


def test_a_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")

    class Memory(keyring.backend.KeyringBackend):  # type: ignore[misc]  # keyring has no types
        priority = 1

        def __init__(self) -> None:
            super().__init__()
            self.held: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.held[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    monkeypatch.setattr("llama_magics.keys._ring", lambda: keyring)
    try:
        assert Keys(tmp_path).keep("A_KEY", SECRET) == "keyring"
        assert Keys(tmp_path).keep("B_KEY", "b-secret") == "keyring"
        later = Keys(tmp_path)  # another kernel, another day
        assert later.where("A_KEY") == "keyring"
        assert later.mapping() == {"A_KEY": SECRET, "B_KEY": "b-secret"}
        assert later.scrub(SECRET) == "********"
        assert later.forget("A_KEY")
        assert Keys(tmp_path).mapping() == {"B_KEY": "b-secret"}
    finally:
        keyring.set_keyring(before)


def test_known_secrets_are_scrubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    (tmp_path / ".env").write_text("OTHER_TOKEN=another-secret-text\nPLAIN=visible-text")
    keys = Keys(tmp_path)
    out = keys.scrub(f"a {SECRET} b another-secret-text c visible-text")
    assert out == "a ******** b ******** c visible-text"
    keys.keep("LATE_KEY", "late-secret")
    assert keys.scrub("late-secret") == "********"


def test_short_values_are_not_scrubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_KEY", "a")
    assert Keys(tmp_path).scrub("banana") == "banana"


@pytest.mark.parametrize(("name", "wanted"), [("openai", "OPENAI_API_KEY"), ("MY_TOKEN", "MY_TOKEN")])
def test_names_of_keys(name: str, wanted: str) -> None:
    assert variable(name) == wanted


def test_a_name_that_is_none() -> None:
    with pytest.raises(InvalidRequest) as caught:
        variable("opnai")
    assert "openai" in str(caught.value.hint)
