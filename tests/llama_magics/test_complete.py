"""Completion in the line of a magic."""

from __future__ import annotations

import pytest

from tests.llama_magics.conftest import Notebook


def complete(notebook: Notebook, text: str) -> list[str]:
    found = notebook.shell.Completer.completions(text, len(text))
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        return [completion.text for completion in found]


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("%stack a", ["ask"]),
        ("%stack ", ["ask", "use", "show", "doctor"]),
        ("%%stack ", ["ask"]),
        ("x = %stack sh", ["show"]),
        ("%stack ask --s", ["--system", "--schema"]),
        ("%stack ask --", ["--model", "--raw", "--out"]),
        ("%stack show --", ["--out", "--quiet", "--format"]),
        ("%stack ask -f m", ["markdown"]),
        ("%stack show m", ["models"]),
        ("%stack help mod", ["models"]),
        ("%stack use no", ["notebook"]),
        ("%stack call models.l", ["models.list_models"]),
        ("%stack call models.get_model mod", ["model_id="]),
        ("%stack call inference.chat_completion temp", ["temperature="]),
    ],
)
def test_words(notebook: Notebook, text: str, some: list[str]) -> None:
    found = complete(notebook, text)
    assert set(some) <= set(found), found


def test_only_ours_in_our_line(notebook: Notebook) -> None:
    notebook.run("askable = 1")
    assert complete(notebook, "%stack ask") == ["ask"]


def test_nothing_of_ours_elsewhere(notebook: Notebook) -> None:
    assert "ask" not in complete(notebook, "stack a")
    assert "--model" not in complete(notebook, "%time --")


def test_names_of_the_session(notebook: Notebook) -> None:
    notebook.run("%stack")
    from llama_magics.session import Chat

    notebook.session.chats["trip"] = Chat()
    assert complete(notebook, "%stack ask -c t") == ["trip"]


def test_it_asks_nobody(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook.run("%stack")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("completion must not wait for the loop")

    monkeypatch.setattr(notebook.session, "run", refuse)
    assert complete(notebook, "%stack call models.li") == ["models.list_models"]
    assert complete(notebook, "%stack ask -m ") != [""]
