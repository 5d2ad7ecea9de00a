"""Shields, data sets with their rows, benchmarks, scoring functions, tool groups, tools, and connectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_stack_client
import pytest

from tests.stack_core.running import Running

pytestmark = pytest.mark.slow


def test_shields(llama: Any) -> None:
    made = llama.shields.register(
        shield_id="guard", provider_id="toy-guard", provider_shield_id="llama-guard", params={"x": 1}
    )
    assert (made.identifier, made.provider_id, made.provider_resource_id) == ("guard", "toy-guard", "llama-guard")
    assert [row.identifier for row in llama.shields.list()] == ["guard"]
    assert llama.shields.retrieve("guard").params == {"x": 1}
    llama.shields.delete("guard")
    with pytest.raises(llama_stack_client.BadRequestError, match="not found"):
        llama.shields.retrieve("guard")


def test_datasets(llama: Any, datasets: Any) -> None:
    rows = [{"question": str(number)} for number in range(3)]
    made = datasets.register(
        dataset_id="sums", purpose="eval/question-answer", source={"type": "rows", "rows": rows}, metadata={"k": "v"}
    )
    assert (made.identifier, made.provider_id, made.purpose) == ("sums", "localfs", "eval/question-answer")
    assert "sums" in {row.identifier for row in datasets.list()}
    assert datasets.retrieve("sums").metadata == {"k": "v"}
    datasets.appendrows("sums", rows=[{"question": "more"}])
    page = datasets.iterrows("sums", start_index=2, limit=1)
    assert (page.data, page.has_more) == ([rows[2]], True)
    assert datasets.iterrows("sums").data == [*rows, {"question": "more"}]
    datasets.unregister("sums")
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        datasets.retrieve("sums")


def test_a_dataset_of_a_file(llama: Any, datasets: Any, running: Running, tmp_path_factory: Any) -> None:
    folder = Path(running.stack.providers_by_key[("datasetio", "localfs")].config["roots"][0])
    (folder / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    datasets.register(
        dataset_id="f", purpose="eval/question-answer", source={"type": "uri", "uri": f"file://{folder}/rows.jsonl"}
    )
    assert datasets.iterrows("f", limit=1).data == [{"a": 1}]
    datasets.unregister("f")


def test_benchmarks(llama: Any, benchmarks: Any, new: bool) -> None:
    benchmarks.register(
        benchmark_id="b",
        dataset_id="d",
        scoring_functions=["toy::same"],
        metadata={"n": 1},
        provider_id="toy-eval",
        provider_benchmark_id="theirs",
    )
    found = benchmarks.retrieve("b")
    assert (found.dataset_id, found.scoring_functions, found.provider_resource_id) == ("d", ["toy::same"], "theirs")
    assert "b" in {row.identifier for row in benchmarks.list()}
    if new:
        benchmarks.unregister("b")
        with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
            benchmarks.retrieve("b")


def test_scoring_functions(llama: Any, new: bool) -> None:
    params = {"type": "llm_as_judge", "judge_model": "m", "judge_score_regexes": [r"(\d)"]}
    llama.scoring_functions.register(
        scoring_fn_id="judge",
        description="asks a model",
        return_type={"type": "number"},
        params={**params, "aggregation_functions": ["average"]},
        provider_id="toy-scoring",
        provider_scoring_fn_id="theirs",
    )
    assert {row.identifier for row in llama.scoring_functions.list()} >= {"judge", "toy::same"}
    assert llama.scoring_functions.retrieve("judge").params.judge_model == "m"
    if new:
        llama.scoring_functions.unregister("judge")
        with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
            llama.scoring_functions.retrieve("judge")


def test_tool_groups_and_tools(llama: Any, new: bool) -> None:
    if new:  # that version has no resource for them
        assert {row["name"] for row in llama.get("/v1/tools", cast_to=object)["data"]} >= {"add", "multiply"}
        return
    llama.toolgroups.register(
        toolgroup_id="more", provider_id="toy-tools", mcp_endpoint={"uri": "http://127.0.0.1:1"}, args={"a": 1}
    )
    assert llama.toolgroups.get("more").mcp_endpoint.uri == "http://127.0.0.1:1"
    assert {row.identifier for row in llama.toolgroups.list()} == {"maths", "more"}
    assert {tool.name for tool in llama.tools.list(toolgroup_id="maths")} == {"add", "multiply"}
    assert llama.tools.get("add").toolgroup_id == "maths"
    llama.toolgroups.unregister("more")
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        llama.toolgroups.get("more")


def test_connectors(llama: Any) -> None:
    assert llama.get("/v1beta/connectors", cast_to=object)["data"] == []
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        llama.get("/v1beta/connectors/none", cast_to=object)
