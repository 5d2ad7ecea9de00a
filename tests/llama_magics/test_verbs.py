"""The table of verbs, and what needs no open stack: help, mistakes, settings."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from llama_magics.options import OPTIONS
from llama_magics.results import Help, Listing, Status
from llama_magics.verbs import DECLARE, LATER, STATUS, VERBS
from llama_magics.verbs.help import EXAMPLES, MORE
from stack_core.errors import ConfigError, InvalidRequest, NotFound, StackError
from tests.llama_magics.conftest import Notebook


@pytest.mark.parametrize("verb", [STATUS, DECLARE, *VERBS.values()], ids=lambda verb: verb.name or verb.module)
def test_every_verb_has_a_module_options_and_help(verb: object) -> None:
    from llama_magics.verbs import Verb

    assert isinstance(verb, Verb)
    assert callable(import_module(f"llama_magics.verbs.{verb.module}").run)
    assert set(verb.options) <= set(OPTIONS)
    assert (verb.name or verb.module) in EXAMPLES
    assert verb.usage.startswith("%")


def test_every_module_is_in_the_table() -> None:
    import llama_magics.verbs as package

    files = {path.stem for path in Path(package.__file__ or "").parent.glob("*.py")} - {"__init__"}
    assert files == {verb.module for verb in (STATUS, DECLARE, *VERBS.values())}
    assert set(MORE) <= files
    assert not set(LATER) & set(VERBS)


def test_help(notebook: Notebook) -> None:
    page = notebook.run("%stack help")
    assert isinstance(page, Help)
    assert all(f"stack {name}" in page.markdown for name in VERBS)
    for topic in EXAMPLES:
        assert notebook.run(f"%stack help {topic}").example.startswith("%")
    models = notebook.run("%stack help models").markdown
    assert len(models.strip().splitlines()) == 3
    assert all(word in models for word in ("Ollama", "GGUF", "key"))
    assert notebook.fails("%stack help askk", NotFound).nearest == ["ask"]


def test_status_before_any_stack(notebook: Notebook) -> None:
    card = notebook.run("%stack")
    assert isinstance(card, Status)
    assert card.stack is None
    assert card.tutorial
    assert "%stack ask" in notebook.printed


@pytest.mark.parametrize(
    ("cell", "kind", "says"),
    [
        ("%stack askk hi", InvalidRequest, "did you mean ask"),
        ("%stack xyzzy", InvalidRequest, "verbs: ask"),
        ("%%stack agent x\nbody", InvalidRequest, "'agent' is not in this version"),
        ("%stack cost", InvalidRequest, "'cost' is not in this version"),
        ("%stack ask --modle x hi", InvalidRequest, "--model"),
        ("%stack --bogus", InvalidRequest, "unknown option --bogus"),
        ("%stack ask", InvalidRequest, "takes a text"),
        ("%%stack ask\n\n", InvalidRequest, "takes a text"),
        ("%%stack ask a b\nhi", InvalidRequest, "body"),
        ("%%stack show\nhi", InvalidRequest, "show takes no body"),
        ("%%stack\nWhat is the capital of France?", InvalidRequest, "%%stack ask"),
        ("%%stack\n- a\n- b", InvalidRequest, "%%stack ask"),
        ("%%stack\nname: [1, 2\nx: y", ConfigError, "line 3, column"),
        ("%%stack\nTell me: why: that?", ConfigError, "%%stack ask"),
        ("%%stack\nname: {{ nam }}", InvalidRequest, "no name 'nam'"),
        ("%%stack\nname: lab\nproviders: {inference: olama}", ConfigError, "ollama"),
        ("%%stack\nname: lab\nprovidrs: {}", ConfigError, "providers"),
        (
            "%%stack\nname: lab\nproviders: {inference: [{vllm: {url: '${env.NO_SUCH_URL}'}}]}",
            ConfigError,
            "NO_SUCH_URL",
        ),
        ("%stack use nope", ConfigError, "notebook"),
        ("%stack use notbook", ConfigError, "did you mean notebook"),
        ("%stack use a b", InvalidRequest, "one word too many"),
        ("%stack call nope.x", NotFound, "API"),
        ("%stack call models.list_modls", NotFound, "models.list_models"),
        ("%stack call models", InvalidRequest, "API.METHOD"),
        ("%stack call models.get_model x", InvalidRequest, "name=value"),
        ("%stack key openai sk-abc", InvalidRequest, "%stack key NAME"),
        ("%stack key opnai", InvalidRequest, "openai"),
        ("%stack pull", InvalidRequest, "minilm"),
        ("%stack pull nope", NotFound, "minilm"),
        ("%stack code", InvalidRequest, "run one first"),
        ("%stack code x", InvalidRequest, "not a cell"),
        ("%stack show nope nope", InvalidRequest, "no kind"),
        ("%stack show chats trip", NotFound, "chat 'trip'"),
        ("%stack ask -o 1x hi", InvalidRequest, "not a variable"),
        ('%stack ask "{{ questoin }}"', InvalidRequest, "questoin"),
    ],
)
def test_mistakes_raise_typed_errors_with_a_hint(
    notebook: Notebook, cell: str, kind: type[StackError], says: str
) -> None:
    error = notebook.fails(cell, kind)
    assert says in f"{error.message} {error.hint}"
    assert "Traceback" not in notebook.printed
    assert error.message.splitlines()[0][:40] in notebook.printed
    assert notebook.session.stacks == {}


def test_tracebacks_on_demand(notebook: Notebook) -> None:
    notebook.run("%config StackMagics.tracebacks = True")
    notebook.fails("%stack askk", InvalidRequest)
    assert "Traceback" in notebook.printed
    notebook.shell.config.pop("StackMagics")  # the shell keeps it, and other tests have the same shell


def test_key_without_a_name_lists_names_only(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTED_API_KEY", "not-a-real-key-0123456789")
    listing = notebook.run("%stack key")
    assert isinstance(listing, Listing)
    assert ["LISTED_API_KEY", "environment"] in listing.rows
    assert "0123456789" not in notebook.printed


def test_key_asks_without_echo(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "not-a-real-key-0123456789"

    monkeypatch.setattr("getpass.getpass", typed)
    report = notebook.run("%stack key openai")
    assert asked == ["OPENAI_API_KEY: "]
    assert report.checks[0].name == "OPENAI_API_KEY"
    assert "session only" in report.checks[0].message
    assert "0123456789" not in notebook.printed
    assert notebook.session.keys.mapping()["OPENAI_API_KEY"] == "not-a-real-key-0123456789"
    notebook.run("%stack key openai --reset")
    assert "OPENAI_API_KEY" not in notebook.session.keys.mapping()


def test_doctor_finds_keys_in_cells(notebook: Notebook) -> None:
    notebook.run("key = 'sk-" + "a" * 30 + "'")
    notebook.run("key")
    report = notebook.run("%stack doctor")
    found = [check for check in report.checks if check.name.startswith("cell ")]
    assert [check.status for check in found] == ["bad", "bad"]
    assert "a" * 30 not in notebook.printed
    assert {"python", "llama-magics", "disk", "port"} <= {check.name for check in report.checks}


def test_settings_from_pyproject(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.llama-magics]\nmodel = "fast"\ntracebacks = true\n')
    notebook.run("%reload_ext llama_magics")
    settings = next(one for one in notebook.shell.configurables if type(one).__name__ == "StackMagics")
    assert settings.model == "fast"  # type: ignore[attr-defined]  # a trait of ours
    assert settings.tracebacks is True  # type: ignore[attr-defined]  # a trait of ours


def test_a_bad_setting_in_pyproject(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.llama-magics]\nmodle = "fast"\n')
    notebook.run("%reload_ext llama_magics")
    error = notebook.fails("%stack", ConfigError)
    assert "did you mean 'model'" in error.message


@pytest.mark.parametrize("form", ["text", "json", "html", "markdown", "code"])
def test_every_format(notebook: Notebook, form: str) -> None:
    notebook.run(f"%stack help ask -f {form}")
    assert notebook.printed.strip()
    if form == "json":
        json.loads(notebook.printed.rpartition("Out[")[0])


def test_quiet_and_semicolon_show_nothing_and_bind(notebook: Notebook) -> None:
    for cell in ("%stack help -q -o page", "%stack help -o page;", "page = %stack help -q"):
        notebook.run(cell)
        assert notebook.printed.partition("Out[")[0] == ""
        assert notebook["page"].title == "%stack"


def test_a_result_is_shown_once_and_can_be_shown_again(notebook: Notebook) -> None:
    notebook.run("page = %stack help models")
    assert notebook.printed.count("**Ollama**") == 1
    notebook.run("page")
    assert notebook.printed.count("**Ollama**") == 1
    notebook.run("%stack help models")
    assert notebook.printed.count("**Ollama**") == 1
    assert notebook["_"].title == "models"


def test_names_of_a_function_are_seen(notebook: Notebook) -> None:
    notebook.run("def f(topic):\n    return get_ipython().run_line_magic('stack', 'help {topic} -q')\np = f('ask')")
    assert notebook["p"].title == "ask"


def test_unloading_takes_everything_away(notebook: Notebook) -> None:
    notebook.run("%unload_ext llama_magics")
    assert notebook.shell.find_line_magic("stack") is None
    assert not [one for one in notebook.shell.configurables if type(one).__name__ == "StackMagics"]
    notebook.run("%load_ext llama_magics")
    assert notebook.shell.find_line_magic("stack") is not None
