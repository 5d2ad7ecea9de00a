"""What is registered: shields, data sets, benchmarks, scoring functions, tool groups, connectors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.apis._call import Call
from stack_core.apis._declare import routes_of
from stack_core.apis.datasetio import DatasetIO
from stack_core.apis.datasets import Dataset
from stack_core.errors import (
    AccessDenied,
    ConfigError,
    Conflict,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UnknownId,
    Unsupported,
)
from stack_core.resources import ResourceTable
from stack_core.storage.backends import Backends
from tests.stack_core.builtin.toy_stacks import entry, run_file

ROWS = {"type": "rows", "rows": [{"question": "1+1", "answer": "2"}]}
QA = "eval/question-answer"


async def found(stack: Stack, key: str, **args: Any) -> tuple[Call, Any]:
    """What the lookup of a key makes of a call with these arguments."""
    call = Call(routes_of(DatasetIO)[0], args)
    return call, await stack._lookup(key)(call)


async def test_a_registration_outlives_the_stack(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        made = await stack.shields.register_shield(
            shield_id="guard", provider_shield_id="llama-guard-3", params={"a": 1}
        )
        assert (made.provider_id, made.provider_resource_id) == ("toy-guard", "llama-guard-3"), "the only provider"
        await stack.datasets.register_dataset(dataset_id="sums", purpose=QA, source=ROWS, metadata={"by": "me"})
        await stack.benchmarks.register_benchmark(
            benchmark_id="b", dataset_id="sums", scoring_functions=["toy::same"], metadata={"n": 3}
        )
        await stack.scoring_functions.register_scoring_function(
            scoring_fn_id="mine",
            description="mine",
            return_type={"type": "number"},
            provider_scoring_fn_id="toy::same",
            params={"type": "basic", "aggregation_functions": ["accuracy"]},
        )
        await stack.tool_groups.register_tool_group(toolgroup_id="maths", provider_id="toy-tools", args={"k": 1})
    async with Stack.open(run_file(tmp_path)) as stack:
        assert await stack.shields.get_shield("guard") == made
        dataset = await stack.datasets.get_dataset("sums")
        assert (dataset.purpose, dataset.metadata, dataset.source.rows) == (QA, {"by": "me"}, ROWS["rows"])
        assert (await stack.benchmarks.get_benchmark("b")).metadata == {"n": 3}
        function = await stack.scoring_functions.get_scoring_function("mine")
        assert (function.provider_resource_id, function.params.aggregation_functions) == ("toy::same", ["accuracy"])
        assert (await stack.tool_groups.get_tool_group("maths")).args == {"k": 1}
        for forget, id in (
            (stack.shields.unregister_shield, "guard"),
            (stack.datasets.unregister_dataset, "sums"),
            (stack.benchmarks.unregister_benchmark, "b"),
            (stack.scoring_functions.unregister_scoring_function, "mine"),
            (stack.tool_groups.unregister_tool_group, "maths"),
        ):
            await forget(id)
            with pytest.raises(NotFound):
                await forget(id)
        assert (await stack.shields.list_shields()).data == []


async def test_the_run_file_registers(tmp_path: Path) -> None:
    registered = {
        "shields": [
            {"shield_id": "guard", "provider_id": "toy-guard", "provider_shield_id": "lg"},
            {"shield_id": "two"},
        ],
        "datasets": [{"dataset_id": "d", "purpose": QA, "source": ROWS}],
        "benchmarks": [{"benchmark_id": "b", "dataset_id": "d", "scoring_functions": []}],
        "scoring_fns": [{"scoring_fn_id": "s", "description": "s", "return_type": {"type": "json"}}],
        "tool_groups": [{"toolgroup_id": "builtin::rag", "provider_id": "gone"}],
        "connectors": [{"connector_id": "wiki", "url": "http://127.0.0.1:1/mcp", "server_label": "Wiki"}],
    }
    async with Stack.open(run_file(tmp_path, registered)) as stack:
        assert [s.identifier for s in (await stack.shields.list_shields()).data] == ["guard", "two"]
        assert (await stack.shields.get_shield("two")).provider_id == "toy-guard"
        assert (await stack.datasetio.iterrows("d")).data == ROWS["rows"]
        assert (await stack.benchmarks.get_benchmark("b")).provider_id == "toy-eval"
        assert (await stack.scoring_functions.get_scoring_function("s")).return_type.type == "json"
        assert (await stack.tool_groups.get_tool_group("builtin::rag")).provider_id == "gone"
        with pytest.raises(NotFound, match="tool_runtime provider 'gone'"):
            await stack.tool_groups.list_tools("builtin::rag")
        assert (await stack.connectors.list_connectors()).data[0].server_label == "Wiki"
        assert (await stack.connectors.get_connector("wiki")).url.endswith("/mcp")
        with pytest.raises(NotFound) as unknown:
            await stack.connectors.get_connector("wika")
        assert "wiki" in str(unknown.value.hint)
        for call in (
            stack.connectors.list_connector_tools("wiki"),
            stack.connectors.get_connector_tool("wiki", "find"),
            stack.connectors.get_connector("wiki", authorization="secret"),
        ):
            with pytest.raises(Unsupported, match="MCP") as missing:
                await call
            assert "secret" not in missing.value.message


async def test_a_bad_row_of_the_run_file_is_told_with_its_place(tmp_path: Path) -> None:
    registered = {"datasets": [{"dataset_id": "d", "purpose": "fun", "source": ROWS}]}
    async with Stack.open(run_file(tmp_path, registered)) as stack:
        with pytest.raises(ConfigError, match=r"registered_resources\.datasets\[0\]\.purpose"):
            await stack.datasets.list_datasets()


async def test_which_provider_serves(tmp_path: Path) -> None:
    providers = {"safety": [entry("one", "toy-guard"), entry("two", "toy-guard", broken=True)], "eval": []}
    async with Stack.open(run_file(tmp_path, providers=providers)) as stack:
        with pytest.raises(InvalidRequest, match="several providers") as several:
            await stack.shields.register_shield(shield_id="s")
        assert several.value.hint == "providers: one, two"
        with pytest.raises(NotFound) as unknown:
            await stack.shields.register_shield(shield_id="s", provider_id="onne")
        assert unknown.value.hint == "did you mean one?"
        await stack.shields.register_shield(shield_id="s", provider_id="two")
        with pytest.raises(ProviderUnavailable, match="the toy is broken"):
            await found(stack, "shield_id", shield_id="s")
        with pytest.raises(InvalidRequest, match="no provider of eval"):
            await stack.benchmarks.register_benchmark(benchmark_id="b", dataset_id="d", scoring_functions=[])


async def test_an_id_again_and_ids_of_others(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, {"shields": [{"shield_id": "fixed"}]})) as stack:
        anna, ben = (context.request_scope(caller=context.User(name)) for name in ("anna", "ben"))
        with anna:
            first = await stack.shields.register_shield(shield_id="s")
            assert first.owner == "anna"
            assert await stack.shields.register_shield(shield_id="s") == first
            assert (await stack.shields.register_shield(shield_id="s", params={"x": 1})).params == {"x": 1}
            with pytest.raises(AccessDenied):
                await stack.shields.unregister_shield("fixed")
        with ben:
            assert [s.identifier for s in (await stack.shields.list_shields()).data] == ["fixed"]
            with pytest.raises(UnknownId):
                await stack.shields.get_shield("s")
            with pytest.raises(UnknownId):
                await stack.shields.unregister_shield("s")
            with pytest.raises(Conflict, match="taken"):
                await stack.shields.register_shield(shield_id="s")
        assert len((await stack.shields.list_shields()).data) == 2


async def test_lookups_find_the_provider(tmp_path: Path) -> None:
    registered = {
        "shields": [{"shield_id": "guard", "provider_shield_id": "meta/llama-guard"}],
        "datasets": [{"dataset_id": "d", "purpose": QA, "source": ROWS}],
        "benchmarks": [{"benchmark_id": "b", "dataset_id": "d", "scoring_functions": []}],
        "tool_groups": [{"toolgroup_id": "maths"}],
    }
    async with Stack.open(run_file(tmp_path, registered)) as stack:
        call, guard = await found(stack, "shield_id", shield_id="meta/llama-guard")
        assert (type(guard).__name__, call.args, call.provider_id) == ("Guard", {"shield_id": "guard"}, "toy-guard")
        call, _ = await found(stack, "shield_id", model=None)
        assert call.args == {"model": "guard"}, "the only one"
        with pytest.raises(UnknownId) as unknown:
            await found(stack, "shield_id", shield_id="gard")
        assert (unknown.value.status, unknown.value.hint) == (400, "did you mean guard?")
        assert type((await found(stack, "benchmark_id", benchmark_id="b"))[1]).__name__ == "Evaluation"
        assert type((await found(stack, "tool_name", tool_name="add"))[1]).__name__ == "Tools"
        assert type((await found(stack, "toolgroup_id", toolgroup_id="maths"))[1]).__name__ == "Tools"
        assert type((await found(stack, "scoring_fn_id", scoring_fn_id="toy::same"))[1]).__name__ == "Scorer"
        with pytest.raises(NotFound) as tool:
            await found(stack, "tool_name", tool_name="ad")
        assert tool.value.hint == "did you mean add?"


async def test_the_default_shield_is_the_run_files(tmp_path: Path) -> None:
    registered = {"shields": [{"shield_id": "a"}, {"shield_id": "b"}]}
    async with Stack.open(run_file(tmp_path, registered)) as stack:
        with pytest.raises(InvalidRequest, match="a shield is needed"):
            await found(stack, "shield_id", model=None)
    async with Stack.open(run_file(tmp_path, registered, safety={"default_shield_id": "b"})) as stack:
        assert (await found(stack, "shield_id", model=None))[0].args == {"model": "b"}


async def test_providers_bring_functions_and_tools(tmp_path: Path) -> None:
    providers = {"tool_runtime": [entry("toy-tools"), entry("mute", "toy-tools", silent=True)]}
    registered = {"tool_groups": [{"toolgroup_id": "m", "provider_id": "mute"}, {"toolgroup_id": "t", "provider_id": "toy-tools"}]}  # fmt: skip  # noqa: E501
    async with Stack.open(run_file(tmp_path, registered, providers=providers)) as stack:
        assert [f.identifier for f in (await stack.scoring_functions.list_scoring_functions()).data] == ["toy::same"]
        with pytest.raises(InvalidRequest, match="its provider's own"):
            await stack.scoring_functions.unregister_scoring_function("toy::same")
        with pytest.raises(NotFound, match="not found"):
            await stack.scoring_functions.get_scoring_function("toy::some")
        tools = (await stack.tool_groups.list_tools()).data
        assert [(tool.name, tool.toolgroup_id) for tool in tools] == [("add", "t"), ("multiply", "t")]
        assert (await stack.tool_groups.get_tool("multiply")).description == "multiply of t"
        with pytest.raises(ProviderUnavailable, match="says nothing"):
            await stack.tool_groups.list_tools("m")


async def test_a_list_has_pages(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, {"shields": [{"shield_id": "s1"}]})) as stack:
        for number in (0, 3, 2):
            await stack.shields.register_shield(shield_id=f"s{number}")
        first = await stack.shields.list_shields(limit=3)
        assert ([s.identifier for s in first.data], first.has_more, first.last_id) == (["s0", "s1", "s2"], True, "s2")
        second = await stack.shields.list_shields(after="s2", limit=3)
        assert ([s.id for s in second.data], second.has_more) == (["s3"], False)
        with pytest.raises(InvalidRequest, match="after"):
            await stack.shields.list_shields(after="nobody")
        with pytest.raises(InvalidRequest, match="limit"):
            await stack.shields.list_shields(limit=0)


async def test_two_stacks_share_what_is_registered(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as one, Stack.open(run_file(tmp_path)) as two:
        assert (await two.shields.list_shields()).data == []
        await one.shields.register_shield(shield_id="s")
        assert (await two.shields.get_shield("s")).identifier == "s"
        assert len((await two.shields.list_shields()).data) == 1
        await two.shields.unregister_shield("s")
        with pytest.raises(UnknownId):
            await one.shields.get_shield("s")


async def test_datasets_pick_their_provider_and_get_an_id(tmp_path: Path) -> None:
    local = {"provider_id": "files-here", "provider_type": "inline::localfs", "config": {}}
    hub = {"provider_id": "hub", "provider_type": "remote::huggingface", "config": {}}
    async with Stack.open(run_file(tmp_path, providers={"datasetio": [local, hub]})) as stack:
        register = stack.datasets.register_dataset
        rows = await register(purpose=QA, source=ROWS)
        assert (rows.provider_id, rows.identifier[:8]) == ("files-here", "dataset-")
        assert (await register(purpose=QA, source={"type": "uri", "uri": "rows.csv"})).provider_id == "files-here"
        address = {"type": "uri", "uri": "huggingface://datasets/a/b?split=train"}
        assert (await register(purpose=QA, source=address)).provider_id == "hub"
        named = await register(purpose=QA, source=ROWS, metadata={"provider_id": "hub"})
        assert named.provider_id == "hub"
        with pytest.raises(InvalidRequest, match="source"):
            await register(purpose=QA, source={"type": "rows"})
        with pytest.raises(InvalidRequest, match="purpose"):
            await register(purpose="eval", source=ROWS)
        with pytest.raises(InvalidRequest, match="colour"):
            await register(purpose=QA, source=ROWS, colour="red")


async def test_appended_rows_go_with_their_source(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        await stack.datasets.register_dataset(dataset_id="d", purpose=QA, source=ROWS)
        await stack.datasetio.append_rows("d", [{"question": "2+2"}])
        await stack.datasets.register_dataset(dataset_id="d", purpose=QA, source=ROWS, metadata={"new": True})
        assert len((await stack.datasetio.iterrows("d")).data) == 2
        other = {"type": "rows", "rows": [{"question": "other"}]}
        await stack.datasets.register_dataset(dataset_id="d", purpose=QA, source=other)
        assert (await stack.datasetio.iterrows("d")).data == other["rows"]
        await stack.datasetio.append_rows("d", [{"question": "2+2"}])
        await stack.datasets.unregister_dataset("d")
        with pytest.raises(NotFound):
            await stack.datasetio.iterrows("d")
        await stack.datasets.register_dataset(dataset_id="d", purpose=QA, source=other)
        assert (await stack.datasetio.iterrows("d")).data == other["rows"]


async def test_an_unreadable_registration_does_not_stop_the_others(tmp_path: Path) -> None:
    async with Backends({"kv": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")}}) as backends:
        store = backends.kv("kv", "registry")
        table = ResourceTable("dataset", Dataset, store)
        good = Dataset(identifier="good", provider_id="p", purpose=QA, source=ROWS)  # type: ignore[arg-type]  # read as JSON would be
        await table.put("good", good)
        await store.set("dataset:bad", "{}")
        assert await table.find("bad") is None
        assert await table.page(None, 10) == [("good", good)]
        assert list(await table.all()) == ["good"]
        for number in range(5):
            await store.set(f"dataset:bad{number}", "{}")
        assert await table.page(None, 1) == [("good", good)], "those that cannot be read do not end a list"
        assert await table.near("goo") == {"good": good}, "what cannot be read is no suggestion"


async def test_suggestions_name_nothing_of_others(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with context.request_scope(caller=context.User("ada")):
            await stack.datasets.register_dataset(dataset_id="salaries-ada", purpose=QA, source=ROWS)
        with context.request_scope(caller=context.User("bob")):
            with pytest.raises(NotFound) as caught:
                await stack.datasets.get_dataset("salaries-bob")
            assert "ada" not in f"{caught.value.hint} {caught.value.nearest}"


async def test_of_two_who_register_one_id_at_once_the_second_is_told(tmp_path: Path) -> None:
    async def register(stack: Stack, name: str) -> None:
        with context.request_scope(caller=context.User(name)):
            await stack.shields.register_shield(shield_id="guard")

    async with Stack.open(run_file(tmp_path)) as stack:
        ends = await asyncio.gather(*(register(stack, f"u{n}") for n in range(8)), return_exceptions=True)
        assert [type(end) for end in ends].count(Conflict) == 7
        with context.request_scope(caller=context.User(f"u{ends.index(None)}")):
            assert (await stack.shields.get_shield("guard")).owner == f"u{ends.index(None)}"


@pytest.mark.parametrize("identifier", ["..", "a/../b", ".", "a/", "a/./b"])
async def test_an_id_that_no_address_can_hold_is_refused(tmp_path: Path, identifier: str) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with pytest.raises(InvalidRequest, match="address"):
            await stack.shields.register_shield(shield_id=identifier)


async def test_a_group_s_secrets_are_not_shown(tmp_path: Path) -> None:
    secrets = {"authorization": "tok-123456", "headers": {"X-Any": "hdr-123456"}, "env": {"PLAIN": "env-123456"}}
    endpoint = {"uri": "https://me:pw-123456@host/mcp?token=url-123456"}
    async with Stack.open(run_file(tmp_path)) as stack:
        await stack.tool_groups.register_tool_group(
            toolgroup_id="g", provider_id="toy-tools", args={"k": 1, **secrets}, mcp_endpoint=endpoint
        )
        one = await stack.tool_groups.get_tool_group("g")
        shown = one.model_dump_json() + (await stack.tool_groups.list_tool_groups()).model_dump_json()
        assert "123456" not in shown
        assert one.args is not None
        assert one.args["k"] == 1
        assert set(one.args["headers"]) == {"X-Any"}
        assert (await stack._part("tool_groups")._registry.get("g")).args == {"k": 1, **secrets}
