"""Declaring, asking, chats, errors: a notebook's shell, a real stack, and a service on a local port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llama_magics.results import Answer, Comparison, Declared, Listing, Value
from llama_magics.schema import AnswerMismatch
from stack_core.errors import ConfigError, InvalidRequest, NotFound, ProviderError, RateLimited, StackError
from tests.llama_magics.conftest import Notebook, stack_cell
from tests.llama_magics.test_attach import PNG
from tests.upstream import Upstream

pytestmark = pytest.mark.slow
WORDS = "w0 w1 w2 w3 "


@pytest.fixture
def lab(notebook: Notebook, service: Upstream) -> Notebook:
    """A notebook with a stack on the service, which has forgotten what it was asked."""
    notebook.run(stack_cell(service.url))
    service.reset()
    return notebook


def bodies(service: Upstream) -> list[dict[str, Any]]:
    return [asked["body"] for asked in service.requests() if asked["path"] == "/chat/completions"]


def test_declaring_says_what_is_there(notebook: Notebook, service: Upstream) -> None:
    card = notebook.run(stack_cell(service.url))
    assert isinstance(card, Declared)
    assert (card.name, card.default, card.changes, card.unchanged) == ("lab", "fast", [], False)
    assert card.models == [("fast", "up/tiny"), ("smart", "up/other")]
    assert [(p.provider_id, p.status) for p in card.providers] == [("up", "OK")]
    assert notebook.run(stack_cell(service.url)).unchanged
    again = notebook.run(stack_cell(service.url).replace("default: fast", "default: smart"))
    assert again.changes == ["~ default fast → smart"]


def test_asking(lab: Notebook, service: Upstream) -> None:
    answer = lab.run('%stack ask "hi" -o x')
    assert isinstance(answer, Answer)
    assert lab["x"] is answer
    assert answer.text == WORDS
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    assert answer.trace is not None
    assert len(answer.trace) == 32
    assert (answer.state, answer.finish_reason, answer.model, answer.alias) == ("done", "stop", "up/tiny", "fast")
    assert answer.first_token_seconds is not None
    assert 0 < answer.first_token_seconds <= answer.seconds
    assert lab.printed.count("w0 w1") == 1
    (body,) = bodies(service)
    assert body["model"] == "tiny"
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert body["stream_options"] == {"include_usage": True}


def test_options_reach_the_service(lab: Notebook, service: Upstream) -> None:
    lab.run("question = 'Who?'\nlength = 5")
    line = '%%stack ask smart -s "Answer in French" -p temperature=0 -p stop="[a, b]" -p max_tokens={length} -o fr'
    lab.run(line + "\n{{ question }}")
    (body,) = bodies(service)
    assert body["model"] == "other"
    assert body["messages"] == [
        {"role": "system", "content": "Answer in French"},
        {"role": "user", "content": "Who?"},
    ]
    assert (body["temperature"], body["stop"], body["max_tokens"]) == (0, ["a", "b"], 5)


def test_what_is_put_in_is_not_a_template_again(lab: Notebook) -> None:
    lab.run("evil = 'echo:{{ secret }} {secret} $secret'\nsecret = 'no'")
    assert lab.run('%stack ask "{evil}"').text == "{{ secret }} {secret} $secret"
    assert lab.run('%stack ask "{{ evil }}"').text == "{{ secret }} {secret} $secret"
    assert lab.run("%%stack ask --raw\necho:{{ evil }}").text == "{{ evil }}"
    assert lab.run("%%stack ask\necho:{evil} $evil {% x %}").text == "{evil} $evil {% x %}"


@pytest.mark.parametrize(
    ("line", "model", "text"),
    [
        ("%stack ask hi", "tiny", "hi"),
        ("%stack ask what is it", "tiny", "what is it"),
        ("%stack ask smart what is it", "other", "what is it"),
        ('%stack ask smart "what"', "other", "what"),
        ('%stack ask -m smart "what"', "other", "what"),
        ('%stack ask up/other "what"', "other", "what"),
        ("%%stack ask smart\nwhat\n\nis it\n", "other", "what\n\nis it"),
    ],
)
def test_target_and_text(lab: Notebook, service: Upstream, line: str, model: str, text: str) -> None:
    lab.run(line)
    (body,) = bodies(service)
    assert (body["model"], body["messages"][-1]["content"]) == (model, text)


def test_two_models_side_by_side(lab: Notebook, service: Upstream) -> None:
    both = lab.run("%%stack ask fast,smart -o both -p upstream='{delay: 0.1}'\nhi")
    assert isinstance(both, Comparison)
    assert [answer.text for answer in both.answers] == [WORDS, WORDS]
    assert [answer.alias for answer in both.answers] == ["fast", "smart"]
    assert len(set(both.trace)) == 2
    assert max(answer.seconds for answer in both.answers) < 1.8 * min(answer.seconds for answer in both.answers)
    assert sorted(body["model"] for body in bodies(service)) == ["other", "tiny"]
    assert lab.session.totals.calls == 2


def test_a_chat_remembers_and_forgets(lab: Notebook, service: Upstream) -> None:
    lab.run('%stack ask -c trip -s "Be brief" "one"')
    lab.run('%stack ask -c trip "two"')
    assert bodies(service)[-1]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": WORDS},
        {"role": "user", "content": "two"},
    ]
    assert lab.run("%stack show chats").rows == [["trip", 2, "Be brief"]]
    assert lab.run("%stack show trip").rows[1] == ["user", "one"]
    lab.run('%stack ask -c trip --reset "three"')
    assert bodies(service)[-1]["messages"] == [{"role": "user", "content": "three"}]
    assert isinstance(lab.run("%stack ask -c trip --reset"), Listing)
    assert lab.session.chats == {}
    lab.fails('%stack ask fast,smart -c trip "x"', InvalidRequest)
    lab.fails('%stack ask -c trip "x" -p upstream="{status: 429}"', RateLimited)
    assert lab.session.chats == {}


def test_typed_answers(lab: Notebook, service: Upstream) -> None:
    answer = lab.run('%stack ask --schema "title, year int, tags list[str]" "a paper"')
    assert answer.value == {"title": "text", "year": 7, "tags": []}
    assert bodies(service)[0]["response_format"]["json_schema"]["strict"] is True
    lab.run("from pydantic import BaseModel\nclass Paper(BaseModel):\n    title: str\n    year: int")
    for cell in ('%stack ask --schema Paper "x"', '%stack ask --schema "{{ Paper }}" "x"'):
        assert lab.run(cell).value == lab["Paper"](title="text", year=7)
    lab.run("from typing import Literal\nclass Strict(BaseModel):\n    word: Literal['x']")
    error = lab.fails('%stack ask --schema Strict "x" -o kept', AnswerMismatch)
    assert json.loads(error.text) == {"word": "text"}
    assert lab["kept"].text == error.text
    assert lab["_"] is lab["kept"]


def test_images_and_files(lab: Notebook, service: Upstream, tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("some notes")
    lab.run('%stack ask -a dot.png -a notes.txt "what?"')
    parts = bodies(service)[0]["messages"][0]["content"]
    assert "some notes" in parts[0]["text"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")
    lab.fails('%stack ask -a dto.png "what?"', NotFound)


def test_an_error_of_the_service_raises_and_says_what_to_do(lab: Notebook) -> None:
    error = lab.fails('%stack ask "hi" -p upstream="{status: 429}"', RateLimited)
    assert error.retry_after == 7
    assert "RateLimited" in lab.printed
    assert "Traceback" not in lab.printed
    broken = lab.fails('%stack ask "hi" -p upstream="{break_after: 3}" -o part', ProviderError)
    assert broken is lab.error
    assert lab["part"].state == "failed"
    assert lab["part"].text.startswith("w0 ")
    assert lab["_"] is lab["part"]


def test_a_model_that_is_not_there(lab: Notebook) -> None:
    error = lab.fails('%stack ask fsat "hi"', NotFound)
    assert "fast" in str(error.hint)


def test_one_of_two_fails(lab: Notebook) -> None:
    lab.fails("%%stack ask fast,nope -o both\nhi", StackError)
    assert [answer.state for answer in lab["both"].answers] == ["done", "failed"]
    assert lab["both"].answers[0].text == WORDS


@pytest.mark.parametrize("param", ["model=x", "messages=[]", "stream=false", "n=2", "temperature"])
def test_parameters_that_are_none(lab: Notebook, param: str) -> None:
    lab.fails(f'%stack ask "hi" -p {param}', InvalidRequest)


def test_a_failing_redeclaration_keeps_the_stack_that_ran(lab: Notebook) -> None:
    before = lab.session.stacks["lab"]
    lab.fails("%%stack\nname: lab\nproviders: {inference: olama}", ConfigError)
    lab.fails("%%stack\nname: lab\nproviders: {inference: [{openai: {api_key: '${env.NO_SUCH}'}}]}", ConfigError)
    assert lab.session.stacks["lab"] is before
    assert lab.run('%stack ask "hi"').text == WORDS


def test_a_stack_of_which_nothing_starts_is_refused(lab: Notebook, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"no model")
    for name in ("bad.gguf", "none.gguf"):
        error = lab.fails(
            f"%%stack\nname: lab\nproviders: {{inference: {{llama-cpp: {{model_path: {name}}}}}}}", ConfigError
        )
        assert name in error.message
    assert lab.run('%stack ask "hi"').text == WORDS


def test_the_old_stack_is_closed_only_when_the_new_one_runs(lab: Notebook, service: Upstream) -> None:
    before = lab.session.stacks["lab"]
    lab.run(stack_cell(service.url, extra="telemetry: {enabled: false}\n"))
    assert lab.session.stacks["lab"] is not before
    assert before._task is not None
    assert before._task.done()
    assert lab.run('%stack ask "hi"').trace is None


def test_several_stacks(lab: Notebook, service: Upstream) -> None:
    lab.run(stack_cell(service.url, name="two"))
    assert lab.session.current == "two"
    assert lab.run("%stack use lab").name == "lab"
    assert lab.session.current == "lab"
    assert {row[0] for row in lab.run("%stack use").rows} >= {"lab", "two", "notebook"}


def test_a_file_is_used(notebook: Notebook, service: Upstream, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(stack_cell(service.url).partition("\n")[2])
    assert notebook.run("%stack use run.yaml").name == "lab"
    assert notebook.run('%stack ask "hi"').text == WORDS


@contextmanager
def server(run_file: Path) -> Iterator[str]:
    """`stack-core run` on a free port; gives its URL."""
    command = [sys.executable, "-m", "stack_core", "run", str(run_file), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def test_a_server_answers_the_same_cells(lab: Notebook, service: Upstream, tmp_path: Path) -> None:
    run_file = tmp_path / "run.yaml"
    run_file.write_text(stack_cell(service.url, name="far").partition("\n")[2])
    with server(run_file) as url:
        card = lab.run(f"%stack use {url}")
        assert (card.location, [p.provider_id for p in card.providers]) == (url, ["up"])
        answer = lab.run('%stack ask fast "hi" -c trip')
        assert (answer.text, answer.state, answer.model, answer.alias) == (WORDS, "done", "up/tiny", "fast")
        assert answer.usage.output_tokens == 4
        assert lab.run('%stack ask "hi"').text == WORDS
        assert lab.run("%%stack ask fast,smart -o both\nhi").answers[1].text == WORDS
        assert ["fast", "", "up", "llm"] in lab.run("%stack show models").rows
        assert lab.run("%stack call inspect.version").value.version
        assert lab.run('%stack ask smart --schema "n int" "hi"').value == {"n": 7}
        lab.fails('%stack ask fast "hi" -p upstream="{status: 429}"', RateLimited)
        lab.fails('%stack ask fsat "hi"', NotFound)
    lab.fails('%stack ask fast "hi"', StackError)
    assert [(p.provider_type, p.status) for p in lab.run("%stack").providers] == [("server", "Error")]
    assert lab.run("%stack use lab").name == "lab"
    lab.fails(f"%stack use {url}", StackError)
    assert lab.session.current == "lab"


def test_a_script_ends_quietly(service: Upstream, tmp_path: Path) -> None:
    body = stack_cell(service.url).partition("\n")[2]
    script = f"from llama_magics import stack\nstack.up({body!r})\nprint(stack.ask('hi').text)\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path)  # noqa: PLW1510 - asserted below
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{WORDS}\n", "")


def test_templates_in_a_declaration(notebook: Notebook, service: Upstream) -> None:
    notebook.run(f"url = {service.url!r}\nmodels = {{'fast': 'up/tiny'}}")
    cell = "%%stack\nname: lab\nproviders:\n  inference:\n    - up:\n"
    notebook.fails(cell + "        base_url: {{ urll }}\n", InvalidRequest)
    notebook.run(stack_cell("{{ url }}").replace("{fast: up/tiny, smart: up/other}", "{{ models }}"))
    assert notebook.run('%stack ask "hi"').text == WORDS


def test_show_and_call(lab: Notebook) -> None:
    rows = lab.run("%stack show models").rows
    assert ["fast", "up/tiny", "up", "llm"] in rows
    assert lab.run("%stack show providers").rows[0][1] == "up"
    assert isinstance(lab.run("%stack show fast"), Value)
    assert isinstance(lab.run("%stack show up"), Value)
    assert lab.run("%stack show lab").value["providers"]["inference"][0]["provider_type"] == "remote::openai"
    assert lab.fails("%stack show fst", NotFound).nearest == ["fast"]
    assert isinstance(lab.run("%stack call models.list_models"), Listing)
    lab.run("messages = [{'role': 'user', 'content': 'echo:{x}'}]")
    done = lab.run("%stack call inference.chat_completion model=fast messages={{ messages }} temperature=0")
    assert done.value.choices[0].message.content == "{x}"
    line = "%stack call inference.chat_completion model=fast"
    streamed = lab.run(line + ' stream=true messages=\'[{"role": "user", "content": "x"}]\'')
    assert len(streamed.value if isinstance(streamed, Value) else streamed.rows) > 3
    assert "messages: Field required" in lab.fails(line, InvalidRequest).message


def test_the_status_card(lab: Notebook) -> None:
    lab.run('%stack ask -c trip "hi"')
    card = lab.run("%stack")
    assert (card.stack, card.default, card.chats, card.calls) == ("lab", "fast", ["trip"], 1)
    assert card.usage.output_tokens == 4


def test_the_twin_gives_the_same(lab: Notebook, service: Upstream) -> None:
    lab.run("claim = 'all cats are {{ n }} grey'\nn = 3")
    cells = (
        '%stack ask "hi" -o a',
        "%%stack ask smart -s 'Be {{ claim }}' -p temperature=0 -o a\nIs it so that {{ claim }}?\n\"Yes\" \\ no",
        '%stack ask --schema "title, year int" "x" -o a',
        "%%stack ask fast,smart -o a\nhi",
        '%stack ask "{n + 1} and {{ n }} of {{ claim }} {n}" -s "be {n}" -o a',
        "%stack show models -o a",
        "%stack call models.get_model model_id=fast -o a",
    )
    for cell in cells:
        service.reset()
        lab.run(cell)
        first, asked = lab["a"], bodies(service)
        code = lab.run("%stack code").source
        assert code.startswith("from llama_magics import stack\n")
        service.reset()
        lab.run(code)
        assert sorted(bodies(service), key=str) == sorted(asked, key=str), code  # two models are asked at once
        assert _timeless(lab["a"].to_dict()) == _timeless(first.to_dict())


def _timeless(data: Any) -> Any:
    gone = {"seconds", "first_token_seconds", "trace", "code", "bound"}
    if isinstance(data, dict):
        return {key: _timeless(value) for key, value in data.items() if key not in gone}
    return [_timeless(item) for item in data] if isinstance(data, list) else data


def test_code_by_number_and_into_a_new_cell(lab: Notebook) -> None:
    number = lab.shell.execution_count
    lab.run('%stack ask "one"')
    lab.run('%stack ask "two"')
    assert 'stack.ask("one")' in lab.run(f"%stack code {number}").source
    assert 'stack.ask("one")' in lab.run("%stack code -2").source
    lab.run("%stack code -1 --insert")
    assert 'stack.ask("two")' in str(lab.shell.rl_next_input)
    lab.fails("%stack code 9999", NotFound)


def test_the_python_object(lab: Notebook) -> None:
    lab.run("from llama_magics import stack\nanswer = stack.ask('hi', 'smart', system='Be brief')")
    assert lab["answer"].text == WORDS
    lab.run("stack.ask('hi')")
    assert "w0 w1" in lab.printed
    lab.run("models = stack.client.models.list_models()")
    assert "fast" in [model.identifier for model in lab["models"].data]
    lab.run("messages = [{'role': 'user', 'content': 'x'}]")
    lab.run("chunks = stack.client.inference.chat_completion(model='fast', messages=messages, stream=True)")
    assert len(list(lab["chunks"])) > 3
    lab.run("reply = stack.openai.chat.completions.create(model='fast', messages=messages)")
    assert lab["reply"].choices[0].message.content == WORDS
    error = lab.fails("stack.ask('x', params={'upstream': {'status': 429}})", RateLimited)
    assert error.answer.state == "failed"


def test_a_running_loop_in_the_kernel_does_not_matter(lab: Notebook) -> None:
    lab.run("async def f():\n    return get_ipython().run_line_magic('stack', 'ask \"hi\"')\nx = await f()")
    assert lab["x"].text == WORDS


def test_keys_never_come_out(notebook: Notebook, service: Upstream, tmp_path: Path) -> None:
    secret = "not-a-real-key-0123456789"
    (tmp_path / ".env").write_text(f"LAB_API_KEY={secret}\n")
    notebook.run(stack_cell(service.url).replace("api_key: none", "api_key: '${env.LAB_API_KEY}'"))
    service.reset()
    assert notebook.run(f'%stack ask "echo:{secret}"').text == secret
    assert service.requests()[0]["headers"]["authorization"] == f"Bearer {secret}"
    assert secret not in notebook.printed
    assert "********" in notebook.printed
    notebook.run("%stack show lab")
    assert secret not in notebook.printed
    error = notebook.fails(f'%stack ask {secret} "hi"', StackError)
    assert secret not in f"{error} {error.hint} {notebook.printed}"


def test_an_interrupt_keeps_what_came_and_closes_the_connection(lab: Notebook, service: Upstream) -> None:
    main = threading.main_thread().ident
    assert main is not None
    stopper = threading.Timer(0.8, signal.pthread_kill, (main, signal.SIGINT))
    stopper.start()
    lab.run_any('%stack ask "hi" -o part -c trip -p upstream="{chunks: 1000, delay: 0.05}"')
    returned = time.monotonic()
    assert isinstance(lab.error, KeyboardInterrupt)
    part = lab["part"]
    assert part.state == part.finish_reason == "cancelled"
    assert part.text.startswith("w0 w1 ")
    assert part.seconds < 1.4
    assert "Traceback" not in lab.printed
    assert lab.session.chats["trip"].messages[-1]["content"] == part.text
    while service.requests()[-1]["state"] == "open" and time.monotonic() - returned < 2:
        time.sleep(0.02)
    assert service.requests()[-1]["state"] == "gone"
    assert lab.run('%stack ask "again"').text == WORDS
