"""MCP tools against real servers: one of ours by HTTP and SSE with a token, and programs by stdio."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.errors import AccessDenied, AuthenticationRequired, InvalidRequest, NotFound, ProviderUnavailable

pytest.importorskip("mcp", reason="the mcp SDK is not installed")
from tests.stack_core.providers.tool_runtime.mcp_server import TOKEN, make, served

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


def run_file(folder: Path, *groups: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A stack with MCP tools only."""
    mcp = {"provider_id": "mcp", "provider_type": "remote::model-context-protocol", "config": config}
    return {
        "image_name": "mcp",
        "providers": {"tool_runtime": [mcp]},
        "storage": {
            "backends": {"kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")}},
            "stores": {"metadata": {"namespace": "registry", "backend": "kv"}},
        },
        "registered_resources": {"tool_groups": list(groups)},
    }


def group(uri: str, name: str = "ours", **args: Any) -> dict[str, Any]:
    return {"toolgroup_id": name, "provider_id": "mcp", "mcp_endpoint": {"uri": uri}, "args": args or None}


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_tools_are_listed_and_called(tmp_path: Path, kind: str) -> None:
    async with served(kind) as uri, Stack.open(run_file(tmp_path, group(uri))) as stack:
        tools = {tool.name: tool for tool in (await stack.tool_groups.list_tools("ours")).data}
        assert tools["add"].input_schema["required"] == ["a", "b"]
        assert tools["add"].toolgroup_id == "ours"
        assert tools["add"].metadata == {"endpoint": uri}
        result = await stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 2, "b": 3})
        assert result.content[0].text == "5"
        assert result.metadata == {"structured_content": {"result": 5}}
        seen = await stack.tool_runtime.invoke_tool(tool_name="pixel")
        assert [item.type for item in seen.content] == ["text", "image"]
        listed = await stack.tool_runtime.list_runtime_tools()
        assert {tool.name for tool in listed.data} == set(tools)
        one = await stack.tool_runtime.list_runtime_tools(mcp_endpoint={"uri": uri})
        assert len(one.data) == len(tools)


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_faults_of_tools_are_handed_back(tmp_path: Path, kind: str) -> None:
    async with served(kind) as uri, Stack.open(run_file(tmp_path, group(uri, timeout=0.5))) as stack:
        invoke = stack.tool_runtime.invoke_tool
        failed = await invoke(tool_name="fail")
        assert failed.error_code == 1
        assert "fail" in failed.error_message
        late = await invoke(tool_name="hang")
        assert (late.error_code, "within 0.5 s" in late.error_message) == (504, True)
        wrong = await invoke(tool_name="add", kwargs={"a": "x"})
        assert wrong.error_code
        assert (await invoke(tool_name="add", kwargs={"a": 1, "b": 1})).content[0].text == "2"
        with pytest.raises(NotFound, match="not found"):
            await invoke(tool_name="ad")


async def test_long_results_are_cut(tmp_path: Path) -> None:
    async with served() as uri, Stack.open(run_file(tmp_path, group(uri))) as stack:
        result = await stack.tool_runtime.invoke_tool(tool_name="huge", kwargs={"megabytes": 50})
        text = result.content[0].text
        assert len(text) < 1_000_200
        assert text.endswith("[cut: 49,000,000 characters more than the 1,000,000 that are kept]")
        assert result.metadata == {"truncated": True}


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_token_is_needed(tmp_path: Path, kind: str) -> None:
    async with served(kind, TOKEN) as uri:
        async with Stack.open(run_file(tmp_path, group(uri))) as stack:
            for call in (
                lambda: stack.tool_groups.list_tools("ours"),
                lambda: stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 1, "b": 1}),
            ):
                with pytest.raises(AuthenticationRequired, match="Unauthorized"):
                    await call()
            headers = {"mcp_headers": {uri + "/": {"Authorization": f"Bearer {TOKEN}"}}}
            with context.request_scope(data=headers):
                result = await stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 1, "b": 1})
                assert result.content[0].text == "2"
            with pytest.raises(AuthenticationRequired, match="Unauthorized"):  # another caller has another session
                await stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 1, "b": 1})
        async with Stack.open(run_file(tmp_path, group(uri, authorization=TOKEN))) as stack:
            assert (await stack.tool_groups.get_tool("add")).description == "Add two numbers."


async def test_new_tools_are_seen(tmp_path: Path) -> None:
    async with served() as uri, Stack.open(run_file(tmp_path, group(uri))) as stack:
        assert (await stack.tool_runtime.invoke_tool(tool_name="grow")).content[0].text == "grown"
        assert (await stack.tool_runtime.invoke_tool(tool_name="fresh")).content[0].text == "new"


async def test_a_cancelled_call_is_cancelled_at_the_server(tmp_path: Path) -> None:
    server = make()
    async with served(server=server) as uri, Stack.open(run_file(tmp_path, group(uri))) as stack:
        await stack.tool_groups.list_tools("ours")
        call = asyncio.create_task(stack.tool_runtime.invoke_tool(tool_name="hang"))
        async with asyncio.timeout(10):
            await server.hanging.wait()  # type: ignore[attr-defined]  # the test server's own event
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(10):
            await server.cancelled.wait()  # type: ignore[attr-defined]  # the test server's own event
        assert (await stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 1, "b": 1})).content[0].text == "2"


async def test_connectors_answer(tmp_path: Path) -> None:
    async with served(token=TOKEN) as uri:
        file = run_file(tmp_path)
        file["registered_resources"]["connectors"] = [{"connector_id": "ours", "url": uri}]
        async with Stack.open(file) as stack:
            with pytest.raises(AuthenticationRequired, match="Unauthorized"):
                await stack.connectors.list_connector_tools("ours")
            found = await stack.connectors.get_connector("ours", authorization=TOKEN)
            assert (found.server_name, found.server_version, found.server_description) == ("tests", "1.2", "for tests")
            tools = (await stack.connectors.list_connector_tools("ours", authorization=TOKEN)).data
            assert "add" in [tool.name for tool in tools]
            assert (await stack.connectors.get_connector_tool("ours", "add", TOKEN)).name == "add"
            with pytest.raises(NotFound, match="add"):
                await stack.connectors.get_connector_tool("ours", "addd", TOKEN)


async def test_wrong_groups_are_refused(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        register, tools = stack.tool_groups.register_tool_group, stack.tool_groups.list_tools
        for fault, endpoint, args, text in [
            (InvalidRequest, None, None, "names no server"),
            (InvalidRequest, {"uri": "file:///etc"}, None, "no http address"),
            (InvalidRequest, {"uri": "http://127.0.0.1:1/mcp"}, {"hedaers": {}}, "args.hedaers"),
            (AccessDenied, None, {"command": "ls"}, "may not start programs"),
            (ProviderUnavailable, {"uri": "http://127.0.0.1:1/mcp"}, None, "cannot be used"),
        ]:
            await register(toolgroup_id="wrong", provider_id="mcp", mcp_endpoint=endpoint, args=args)
            with pytest.raises(fault, match=text):
                await tools("wrong")


@pytest.mark.slow
async def test_a_program_of_others(tmp_path: Path) -> None:
    args = {"command": sys.executable, "args": ["-m", "mcp_server_time", "--local-timezone", "UTC"]}
    time = {"toolgroup_id": "time", "provider_id": "mcp", "args": args}
    async with Stack.open(run_file(tmp_path, time, stdio=True)) as stack:
        names = [tool.name for tool in (await stack.tool_groups.list_tools("time")).data]
        assert names == ["get_current_time", "convert_time"]
        asked = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        result = await stack.tool_runtime.invoke_tool(tool_name="convert_time", kwargs=asked)
        assert result.metadata["structured_content"]["time_difference"] == "+9.0h"
        wrong = await stack.tool_runtime.invoke_tool(tool_name="get_current_time", kwargs={"timezone": "Moon/Base"})
        assert (wrong.error_code, "Moon/Base" in wrong.error_message) == (1, True)


@pytest.mark.slow
async def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    args = {"command": sys.executable, "args": [str(HERE / "mcp_server.py"), str(tmp_path / "mark")]}
    ours = {"toolgroup_id": "ours", "provider_id": "mcp", "args": args}
    async with Stack.open(run_file(tmp_path, ours, stdio=True)) as stack:
        again = await stack.tool_runtime.invoke_tool(tool_name="die_once")
        assert again.content[0].text == "here again"
        dead = await stack.tool_runtime.invoke_tool(tool_name="die")
        assert (dead.error_code, "not known" in dead.error_message) == (503, True)
        result = await stack.tool_runtime.invoke_tool(tool_name="add", kwargs={"a": 1, "b": 2})
        assert result.content[0].text == "3"
        await stack.tool_groups.register_tool_group(
            toolgroup_id="none",
            provider_id="mcp",
            args={"command": sys.executable, "args": ["-c", "raise SystemExit('no')"]},
        )
        with pytest.raises(ProviderUnavailable, match="no"):
            await stack.tool_groups.list_tools("none")
