"""Mistakes that people make: each is a short typed error that says where and what to do, in cells and in the twins."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from pydantic import BaseModel

from llama_magics import attach, template
from llama_magics.results import Value
from llama_magics.schema import schema_of
from llama_magics.showing import bundle_of
from stack_core.errors import ConfigError, InvalidRequest, NotFound, ProviderUnavailable, StackError
from tests.llama_magics.conftest import Notebook, stack_cell
from tests.llama_magics.test_complete import complete
from tests.upstream import Upstream

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(notebook: Notebook, service: Upstream) -> Notebook:
    notebook.run(stack_cell(service.url))
    return notebook


@pytest.mark.parametrize("expression", ["1 / 0", "'a' + 1", "[1].index(2)", "int('x')"])
def test_an_expression_that_raises_is_an_error_with_its_place(lab: Notebook, expression: str) -> None:
    error = lab.fails(f"%%stack ask\nfirst\n{{{{ {expression} }}}}", InvalidRequest)
    assert error.message.startswith(f"line 3: {{{{ {expression} }}}}: ")
    assert "Nothing was sent" in error.hint


def test_an_unknown_filter_names_the_nearest() -> None:
    with pytest.raises(InvalidRequest) as caught:
        template.render("{{ [1] | joinn }}", {})
    assert "join" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('%stack ask "hi" -o class', "-o class"),
        ('%stack ask "hi" -c ""', "empty"),
        ('%stack ask "hi" -a ""', "empty"),
        ('%stack ask "hi" -a .', "folder"),
        ('%stack ask "hi" --schema "a int, a str"', "twice"),
        ('%stack ask "hi" --schema ""', "empty"),
    ],
)
def test_values_that_cannot_be(lab: Notebook, service: Upstream, line: str, says: str) -> None:
    service.reset()
    assert says in lab.fails(line, InvalidRequest).message
    assert service.requests() == []


def test_a_slip_in_a_parameter_is_refused_and_a_service_s_own_is_not(lab: Notebook, service: Upstream) -> None:
    error = lab.fails('%stack ask "hi" -p temprature=0', InvalidRequest)
    assert error.hint == "did you mean temperature?"
    for own in ("top_k", "min_p", "min_tokens", "repetition_penalty"):
        lab.run(f'%stack ask "hi" -p {own}=1')
        assert service.requests()[-1]["body"][own] == 1


def test_schema_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"title": "\xe9"}')
    (tmp_path / "open.json").write_text('{\n"type": ')
    with pytest.raises(InvalidRequest, match=r"latin\.json cannot be read"):
        schema_of("latin.json", {}, tmp_path)
    with pytest.raises(InvalidRequest, match=r"open\.json, line 2, column \d+: not valid JSON"):
        schema_of("open.json", {}, tmp_path)


def test_a_class_without_a_json_schema(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="BaseModel has no JSON Schema"):
        schema_of(BaseModel, {}, tmp_path)


def test_fields_may_have_names_of_pydantic_s_own(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert schema_of("json str, schema int", {}, tmp_path).value('{"json": "a", "schema": 1}')["schema"] == 1


def test_a_default_that_is_no_model_is_refused(lab: Notebook, service: Upstream) -> None:
    error = lab.fails(stack_cell(service.url).replace("default: fast", "default: fsat"), ConfigError)
    assert (error.where, "fast" in error.hint) == ("default", True)
    assert lab.run('%stack ask "hi"').alias == "fast"
    lab.run(stack_cell(service.url).replace("default: fast", "default: up/not-listed"))


def test_a_model_whose_provider_is_down_is_not_said_to_answer(notebook: Notebook) -> None:
    card = notebook.run(stack_cell("http://127.0.0.1:9/v1"))
    assert "fast answers" not in notebook.printed
    assert not any(command.startswith("%stack ask") for command, _ in card.next_steps)


def test_an_address_that_is_no_stack(lab: Notebook, service: Upstream) -> None:
    assert "is no stack" in lab.fails(f"%stack use {service.url}", ProviderUnavailable).message
    assert lab.session.current == "lab"


def test_names_that_can_be_used_are_said_once(lab: Notebook) -> None:
    lab.run("%stack use notebook")
    assert lab.fails("%stack use xyz", ConfigError).hint.count("notebook") == 1


def test_a_service_without_that_name(notebook: Notebook) -> None:
    assert len(notebook.fails("%stack key zzz", InvalidRequest).hint) < 80
    assert notebook.run("%stack key openai --reset").title == "key"


def test_one_is_not_many(lab: Notebook) -> None:
    lab.run('%stack ask -c trip "hi"')
    assert lab.run("%stack show chats").say == "1 chat."
    assert lab.run("%stack show chats trip").say == "1 turn."
    assert lab.run("%stack show providers").say == "Its provider is ready."
    assert lab.run("%stack call providers.list_providers").say == "1 item."
    assert "1 has" not in lab.fails("%stack code -99", InvalidRequest).message


def test_a_bare_text_stays_under_the_limit_of_an_output(lab: Notebook) -> None:
    lab.run("big = 'é' * 300_000")
    lab.run("%%stack ask -f text -o x\necho:{{ big }}")
    shown = bundle_of(lab["x"], "text")
    assert len(json.dumps(shown, ensure_ascii=False).encode()) < 100_000
    assert "the rest is in `x.text`" in shown["text/plain"]
    assert len(lab["x"].text) == 300_000


def test_every_result_has_what_every_result_has(lab: Notebook) -> None:
    for line in ("%stack", "%stack help", "%stack doctor", "%stack show models", "%stack code", "%stack use lab"):
        result = lab.run(line)
        assert result.text
        assert (result.trace, isinstance(result.code, str)) == (None, True)
        assert result.to_dict()
        with pytest.raises(AttributeError):
            _ = result.nothing
    assert Value("x", 1).usage is None


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("stack.ask('hi', 'nope')", NotFound),
        ("stack.ask('')", InvalidRequest),
        ("stack.ask()", InvalidRequest),
        ("stack.ask(42)", InvalidRequest),
        ("stack.ask('hi', 5)", InvalidRequest),
        ("stack.up(3)", InvalidRequest),
        ("stack.up('nowhere')", ConfigError),
        ("stack.help('nowhere')", NotFound),
        ("stack.client.models.retrieve('nope')", NotFound),
    ],
)
def test_twins_fail_as_briefly_as_cells(lab: Notebook, call: str, kind: type[StackError]) -> None:
    lab.run("from llama_magics import stack")
    lab.fails(call, kind)
    assert "twin.py" not in lab.printed
    assert lab.printed.startswith(f"{kind.__name__}: ")


def test_twins_keep_keys_out_of_errors(lab: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "a-secret-of-mine")
    lab.run("from llama_magics import stack")
    assert "a-secret-of-mine" not in str(lab.fails("stack.up('a-secret-of-mine')", ConfigError))


def test_one_file_needs_no_list(lab: Notebook, service: Upstream, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("from the file")
    lab.run("from llama_magics import stack\nstack.ask('hi', attach='note.txt')")
    assert "from the file" in service.requests()[-1]["body"]["messages"][-1]["content"]
    with pytest.raises(InvalidRequest, match="folder"):
        attach.content("hi", ["."], tmp_path)


def test_completion_goes_on_after_a_comma_and_knows_parameters(lab: Notebook) -> None:
    lab.run("%stack show models")
    assert "smart" in complete(lab, "%stack ask fast,")
    assert complete(lab, "%stack ask -p temp") == ["temperature="]


def test_a_model_that_was_registered_by_a_call_is_a_target(lab: Notebook, service: Upstream) -> None:
    lab.run("%stack call models.register_model model_id=mine provider_id=up provider_model_id=other")
    lab.run("%stack ask mine hi there")
    body = service.requests()[-1]["body"]
    assert (body["model"], body["messages"][-1]["content"]) == ("other", "hi there")
    lab.run("%stack call models.unregister_model model_id=mine")


def test_raw_leaves_the_braces_of_options_too(lab: Notebook, service: Upstream) -> None:
    lab.run("%%stack ask --raw -o x -s 'like {{ this }}'\n{{ that }}")
    said = [message["content"] for message in service.requests()[-1]["body"]["messages"]]
    assert said == ["like {{ this }}", "{{ that }}"]
    assert lab["x"].code == 'x = stack.ask("{{ that }}", system="like {{ this }}")'
