"""What every provider of tools promises: it lists tools that have a schema, calls them by name, and refuses by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import InvalidRequest, NotFound, StackError, Unsupported
from stack_core.providers import _registry
from tests.stack_core.providers.responses.speaking import run_file
from tests.stack_core.providers.tool_runtime import test_web

pytestmark = pytest.mark.slow

WEB = sorted(test_web.ANSWERS)
KINDS = ["inline::rag-runtime", "remote::model-context-protocol", *(f"remote::{name}" for name in WEB)]


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """A stack with the provider under the group `g`, and arguments that its first tool can be called with."""
    name = kind.rpartition("::")[2]
    if name in WEB:
        async with test_web.serving(name, folder) as (stack, _):
            await stack.tool_groups.register_tool_group(toolgroup_id="g", provider_id=name)
            await stack.tool_groups.unregister_tool_group("builtin::web")
            yield stack, {"query": "q"}
        return
    file = run_file(folder, providers={"tool_runtime": [{"provider_id": "p", "provider_type": kind, "config": {}}]})
    async with Stack.open(file) as stack:
        register = stack.tool_groups.register_tool_group
        if name == "rag-runtime":
            store = await stack.vector_stores.create_vector_store(name="s")
            await register(toolgroup_id="g", provider_id="p", args={"vector_db_ids": [store.id]})
            yield stack, {"query": "q"}
            return
        pytest.importorskip("mcp", reason="the mcp SDK is not installed")
        from tests.stack_core.providers.tool_runtime.mcp_server import served

        async with served() as uri:
            await register(toolgroup_id="g", provider_id="p", mcp_endpoint={"uri": uri})
            yield stack, {"a": 1, "b": 2}


def test_every_provider_is_here() -> None:
    known = _registry.known("tool_runtime")  # other tests' own providers with them
    ours = {spec.type for spec in known if spec.factory.__module__.startswith("stack_core.")}
    assert ours == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
async def test_tools_are_listed_and_called(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (stack, arguments):
        tools = (await stack.tool_groups.list_tools("g")).data
        assert all(tool.toolgroup_id == "g" and tool.input_schema["type"] == "object" for tool in tools)
        assert (await stack.tool_runtime.list_runtime_tools(tool_group_id="g")).data == tools
        assert (await stack.tool_runtime.list_runtime_tools()).data == tools
        assert await stack.tool_groups.get_tool(tools[0].name) == tools[0]
        results = await asyncio.gather(
            *(stack.tool_runtime.invoke_tool(tool_name=tools[0].name, kwargs=arguments) for _ in range(3))
        )
        assert all(result.content and result.error_code is None for result in results)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_wrong_is_named(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (stack, arguments):
        first = (await stack.tool_groups.list_tools("g")).data[0].name
        with pytest.raises(NotFound, match="nobody"):
            await stack.tool_runtime.invoke_tool(tool_name="nobody", kwargs=arguments)
        try:
            result = await stack.tool_runtime.invoke_tool(tool_name=first, kwargs={})
        except InvalidRequest as error:
            assert first in str(error)
        else:  # a tool's own refusal is handed back to the model
            assert (result.error_code is not None, first in result.error_message) == (True, True)
        with pytest.raises(InvalidRequest, match="exclude each other"):
            await stack.tool_runtime.list_runtime_tools(tool_group_id="g", mcp_endpoint={"uri": "http://h/mcp"})


@pytest.mark.parametrize("kind", KINDS)
async def test_rag_calls_go_to_who_has_them(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (stack, _):
        call = stack.tool_runtime.query(content="x", vector_db_ids=["none"])
        with pytest.raises(StackError) as fault:
            await call
        assert isinstance(fault.value, Unsupported) == (kind != "inline::rag-runtime")
