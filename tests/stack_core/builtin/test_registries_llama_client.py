"""The real `llama-stack-client` on the registries and the rows of data sets, in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.transport import in_process_transport
from tests.stack_core.builtin.toy_stacks import run_file

package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")


@pytest.fixture
async def llama(tmp_path: Path) -> AsyncIterator[Any]:
    """Llama Stack's own client."""
    import httpx

    registered = {"tool_groups": [{"toolgroup_id": "maths", "provider_id": "toy-tools"}]}
    async with Stack.open(run_file(tmp_path, registered)) as stack:
        http_client = httpx.AsyncClient(transport=in_process_transport(stack, httpx))
        async with package.AsyncLlamaStackClient(
            base_url="http://stack", http_client=http_client, max_retries=0
        ) as found:
            yield found


async def test_shields(llama: Any) -> None:
    made = await llama.shields.register(shield_id="meta/guard", provider_shield_id="lg", params={"x": 1})
    assert (made.identifier, made.provider_id, made.provider_resource_id) == ("meta/guard", "toy-guard", "lg")
    assert [shield.identifier for shield in await llama.shields.list()] == ["meta/guard"]
    assert (await llama.shields.retrieve("meta/guard")).params == {"x": 1}
    await llama.shields.delete("meta/guard")
    with pytest.raises(package.BadRequestError, match="not found"):
        await llama.shields.retrieve("meta/guard")


async def test_datasets_and_their_rows(llama: Any) -> None:
    rows = [{"question": f"{n}", "answer": f"{n}"} for n in range(3)]
    made = await llama.datasets.register(
        dataset_id="sums", purpose="eval/question-answer", source={"type": "rows", "rows": rows}, metadata={"k": "v"}
    )
    assert (made.identifier, made.provider_id, made.type) == ("sums", "localfs", "dataset")
    assert [dataset.identifier for dataset in await llama.datasets.list()] == ["sums"]
    assert (await llama.datasets.retrieve("sums")).source.rows == rows
    await llama.datasets.appendrows("sums", rows=[{"question": "more"}])
    page = await llama.datasets.iterrows("sums", start_index=2, limit=1)
    assert (page.data, page.has_more) == ([rows[2]], True)
    assert (await llama.datasets.iterrows("sums")).data == [*rows, {"question": "more"}]
    await llama.datasets.unregister("sums")
    with pytest.raises(package.NotFoundError):
        await llama.datasets.iterrows("sums")


async def test_the_earlier_spellings(llama: Any) -> None:
    source = {"type": "rows", "rows": [{"a": 1}]}
    body = {"dataset_id": "d", "purpose": "eval/question-answer", "source": source}
    assert (await llama.post("/v1/datasets", cast_to=object, body=body))["identifier"] == "d"
    assert (await llama.get("/v1/datasetio/iterrows/d", cast_to=object))["data"] == [{"a": 1}]
    assert (await llama.get("/v1/eval/benchmarks", cast_to=object))["data"] == []


async def test_benchmarks(llama: Any) -> None:
    await llama.benchmarks.register(
        benchmark_id="b", dataset_id="d", scoring_functions=["toy::same"], metadata={"n": 1}
    )
    found = await llama.benchmarks.retrieve("b")
    assert (found.dataset_id, found.scoring_functions, found.provider_id) == ("d", ["toy::same"], "toy-eval")
    assert [benchmark.identifier for benchmark in await llama.benchmarks.list()] == ["b"]


async def test_scoring_functions(llama: Any) -> None:
    await llama.scoring_functions.register(
        scoring_fn_id="judge",
        description="asks a model",
        return_type={"type": "number"},
        params={
            "type": "llm_as_judge",
            "judge_model": "m",
            "judge_score_regexes": ["(\\d)"],
            "aggregation_functions": ["average"],
        },
    )
    assert {function.identifier for function in await llama.scoring_functions.list()} == {"judge", "toy::same"}
    judge = await llama.scoring_functions.retrieve("judge")
    assert (judge.params.judge_model, judge.params.judge_score_regexes) == ("m", ["(\\d)"])


async def test_tool_groups_and_tools(llama: Any) -> None:
    await llama.toolgroups.register(
        toolgroup_id="more", provider_id="toy-tools", mcp_endpoint={"uri": "http://127.0.0.1:1"}, args={"a": 1}
    )
    assert (await llama.toolgroups.get("more")).mcp_endpoint.uri == "http://127.0.0.1:1"
    assert [group.identifier for group in await llama.toolgroups.list()] == ["maths", "more"]
    assert {tool.name for tool in await llama.tools.list(toolgroup_id="maths")} == {"add", "multiply"}
    assert (await llama.tools.get("add")).toolgroup_id == "maths"
    await llama.toolgroups.unregister("more")
    with pytest.raises(package.NotFoundError):
        await llama.toolgroups.get("more")
