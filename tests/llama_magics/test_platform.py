"""`call` and `show` of the whole platform from a notebook, on a stack with every kind of thing in it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from llama_magics import complete
from stack_core.apis import all_routes
from stack_core.errors import InvalidRequest, NotFound, StackError
from tests.llama_magics.conftest import Notebook
from tests.stack_core.builtin.toy_stacks import run_file
from tests.stack_core.test_stack import ECHO


@pytest.fixture
def platform(notebook: Notebook, tmp_path: Path) -> Notebook:
    """A notebook on a stack with files, vector stores, batches and registries."""
    files = {"provider_id": "files", "provider_type": "inline::localfs", "config": {"storage_dir": str(tmp_path / "f")}}
    more = {
        "inference": [ECHO],
        "files": [files],
        "batches": [{"provider_id": "reference", "provider_type": "inline::reference", "config": {}}],
    }
    config = run_file(tmp_path, {"shields": [{"shield_id": "meta-llama/Llama-Guard-3-8B"}]}, providers=more)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    notebook.run("%stack use run.yaml")
    return notebook


def rows(shown: Any) -> list[list[Any]]:
    found: list[list[Any]] = shown.rows
    return found


def test_a_file_goes_up_and_comes_back(platform: Notebook, tmp_path: Path) -> None:
    (tmp_path / "my notes.txt").write_text("grüße")
    platform.run('%stack call files.create_file file="my notes.txt" purpose=assistants -o made')
    made = platform["made"].value
    assert made.bytes == len("grüße".encode())
    text = platform.run("%stack call files.get_file_content file_id={{ made.value.id }}")
    assert text.value == "grüße"
    assert rows(platform.run("%stack show files"))[0][:3] == ["my notes.txt", made.id, made.bytes]
    assert platform.run('%stack show files "my notes.txt"').value.id == made.id
    assert platform.run(f"%stack show {made.id}").value.id == made.id
    assert "files.delete_file" in repr(platform.run(f"%stack call files.delete_file file_id={made.id}"))
    assert "no file" in platform.run("%stack show files").say
    platform.fails("%stack show files file-none", NotFound)
    platform.fails("%stack call files.create_file file=nowhere.txt purpose=assistants", StackError)


def test_a_batch_from_a_cell(platform: Notebook, tmp_path: Path) -> None:
    body = {"model": "echo/one", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (tmp_path / "in.jsonl").write_text(json.dumps(line))
    platform.run("%stack call files.create_file file=in.jsonl purpose=batch -o up")
    platform.run(
        "%stack call batches.create_batch input_file_id={{ up.value.id }} endpoint=/v1/chat/completions -o begun"
    )
    status, deadline = "", time.monotonic() + 30
    while status != "completed" and time.monotonic() < deadline:
        status = platform.run("%stack call batches.get_batch batch_id={{ begun.value.id }} -o now").value.status
    out = platform.run("%stack call files.get_file_content file_id={{ now.value.output_file_id }}").value
    assert json.loads(out)["custom_id"] == "a"
    assert len(rows(platform.run("%stack call batches.list_batches limit=5"))) == 1


def test_every_kind_is_shown(platform: Notebook) -> None:
    platform.run('%stack call prompts.create_prompt prompt="Say {name}" variables=[] -o p')
    prompt = platform["p"].value
    assert rows(platform.run("%stack show prompts")) == [[prompt.prompt_id, 1, "", "Say {name}"]]
    assert platform.run(f"%stack show prompts {prompt.prompt_id}").value.prompt == "Say {name}"
    guard = "meta-llama/Llama-Guard-3-8B"
    assert rows(platform.run("%stack show shields"))[0][0] == guard
    assert platform.run(f"%stack show {guard}").value.identifier == guard
    platform.run("%stack call tool_groups.register_tool_group toolgroup_id=maths provider_id=toy-tools")
    tools = rows(platform.run("%stack show tools"))
    assert tools[0][1] == "maths"
    assert platform.run(f"%stack show tools {tools[0][0]}").value.toolgroup_id == "maths"
    source = "source={type: rows, rows: [{a: 1}]}"
    platform.run(f"%stack call datasets.register_dataset dataset_id=team/d purpose=eval/question-answer '{source}'")
    assert rows(platform.run("%stack call datasetio.iterrows dataset_id=team/d")) == [[1]]
    platform.run("%stack call benchmarks.register_benchmark benchmark_id=b dataset_id=team/d scoring_functions=[]")
    assert rows(platform.run("%stack show evals"))[0][:2] == ["b", "team/d"]
    assert platform.run("%stack call benchmarks.unregister_benchmark benchmark_id=b").value is None
    assert rows(platform.run("%stack show docs")) == []
    platform.fails("%stack show shields Llama-Gard", NotFound)
    platform.fails("%stack show agents", InvalidRequest)


def test_streams_and_values(platform: Notebook) -> None:
    call = "%stack call inference.chat_completion model=echo/one 'messages=[{role: user, content: a b}]'"
    assert platform.run(call).value.choices[0].message.content == "a b"
    assert len(rows(platform.run(f"{call} stream=true"))) >= 3
    platform.run("question = [{'role': 'user', 'content': 'x=1, {y}: z'}]")
    asked = platform.run("%stack call inference.chat_completion model=echo/one messages={{ question }}")
    assert asked.value.choices[0].message.content == "x=1, {y}: z"


@pytest.mark.parametrize("route", all_routes(), ids=lambda route: route.id)
def test_every_method_has_its_arguments_completed(route: Any) -> None:
    found = list(complete.candidates(["call", route.id], "", cell=False))
    assert len(found) == len(set(found))
    assert all(name.endswith("=") for name in found)


def test_what_can_be_called_is_listed(platform: Notebook) -> None:
    shown = platform.run("%stack show apis")
    assert {row[0] for row in rows(shown)} == {route.id for route in all_routes()}
    assert rows(platform.run("%stack show apis batches"))[0][0].startswith("batches.")
