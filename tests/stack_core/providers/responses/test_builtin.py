"""What is kept of responses: for whom, for how long, and what becomes of those that end early."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack_core import Stack, context
from stack_core.errors import ConfigError, InvalidRequest, NotFound, UnknownId, Unsupported
from tests.stack_core.probe import serving
from tests.stack_core.providers.responses.speaking import Speaking, call, run_file

ANN, BOB = context.User("ann"), context.User("bob")
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


async def create(stack: Any, **request: Any) -> Any:
    return await stack.responses.create_response(**{"model": "up/m", "input": "hi", **request})


async def over(stack: Any, response_id: str) -> Any:
    """The response when it is over."""
    async for _ in await stack.responses.get_response(response_id, stream=True):
        pass
    return await stack.responses.get_response(response_id)


async def test_what_is_kept_is_what_was_given(stack: Any) -> None:
    Speaking.say(["Hello"])
    made = await create(stack, metadata={"a": "b"}, instructions="Be brief.", temperature=0.5)
    kept = await stack.responses.get_response(made.id)
    assert kept.model_dump() == made.model_dump()
    assert (kept.instructions, kept.temperature, kept.metadata) == ("Be brief.", 0.5, {"a": "b"})
    assert Speaking.asked[0].store is None and Speaking.asked[0].messages[0].content == "Be brief."


async def test_it_outlives_the_stack(tmp_path: Path) -> None:
    Speaking.say(["Hello"])
    async with Stack.open(run_file(tmp_path)) as stack:
        made = await create(stack)
    async with Stack.open(run_file(tmp_path)) as stack:
        assert (await stack.responses.get_response(made.id)).output_text == "Hello"
        following = await create(stack, previous_response_id=made.id)
        assert following.previous_response_id == made.id
    assert [message.content for message in Speaking.asked[-1].messages] == ["hi", "Hello", "hi"]


async def test_it_is_not_kept_where_the_caller_says_so(stack: Any) -> None:
    Speaking.say(["Hello"])
    made = await create(stack, store=False)
    assert made.store is False
    with pytest.raises(UnknownId):
        await stack.responses.get_response(made.id)


async def test_everything_belongs_to_its_owner(stack: Any) -> None:
    Speaking.say(["Hello"])
    with context.request_scope(caller=ANN):
        made = await create(stack)
        behind = await create(stack, background=True)
        await over(stack, behind.id)
    with context.request_scope(caller=BOB):
        assert (await stack.responses.list_responses()).data == []
        for ask in (
            stack.responses.get_response(made.id),
            stack.responses.list_input_items(made.id),
            stack.responses.delete_response(made.id),
            stack.responses.cancel_response(behind.id),
            create(stack, previous_response_id=made.id),
        ):
            with pytest.raises(UnknownId):
                await ask
        with pytest.raises(InvalidRequest):
            await create(stack, input=[{"type": "item_reference", "id": made.output[0].id}])
    with context.request_scope(caller=ANN):
        assert len((await stack.responses.list_responses()).data) == 2


async def test_lists_are_paged_and_filtered(stack: Any) -> None:
    Speaking.say(["Hello"])
    ids = [(await create(stack, input=str(number))).id for number in range(3)]
    page = await stack.responses.list_responses(limit=2)
    assert [row.id for row in page.data] == ids[:0:-1] and page.has_more
    rest = await stack.responses.list_responses(limit=2, after=page.last_id)
    assert [row.id for row in rest.data] == ids[:1] and not rest.has_more
    assert rest.data[0].input[0].content[0].text == "0"
    assert (await stack.responses.list_responses(model="up/other")).data == []
    assert len((await stack.responses.list_responses(model="up/m")).data) == 3


async def test_input_items_are_those_of_the_whole_thread(stack: Any) -> None:
    Speaking.say(["one"])
    first = await create(stack, input="a")
    second = await create(stack, input="b", previous_response_id=first.id)
    page = await stack.responses.list_input_items(second.id, order="asc")
    assert [item.content[0].text for item in page.data] == ["a", "one", "b"]
    last = await stack.responses.list_input_items(second.id, limit=1, after=page.data[2].id)
    assert [item.content[0].text for item in last.data] == ["one"] and last.has_more
    with pytest.raises(InvalidRequest, match="no item 'x'"):
        await stack.responses.list_input_items(second.id, after="x")


async def test_a_deleted_response_is_gone_and_its_followers_say_so(stack: Any) -> None:
    Speaking.say(["one"])
    first = await create(stack)
    second = await create(stack, previous_response_id=first.id)
    assert (await stack.responses.delete_response(first.id)).deleted
    with pytest.raises(UnknownId):
        await stack.responses.get_response(first.id)
    with pytest.raises(UnknownId) as caught:
        await create(stack, previous_response_id=second.id)
    assert first.id in caught.value.message and "deleted" in str(caught.value.hint)


async def test_references_to_items_of_other_responses(stack: Any) -> None:
    Speaking.say(["one"])
    first = await create(stack)
    await create(stack, input=[{"id": first.output[0].id}, {"role": "user", "content": "more"}])
    assert [message.content for message in Speaking.asked[-1].messages] == ["one", "more"]
    with pytest.raises(InvalidRequest, match=r"input\[0\].id: no item 'msg_1'"):
        await create(stack, input=[{"id": "msg_1"}])


# ---- the background


async def test_the_background(stack: Any) -> None:
    gate = asyncio.Event()
    Speaking.say(["Hel", gate, "lo"])
    queued = await create(stack, background=True)
    assert (queued.status, queued.background) == ("queued", True)
    with pytest.raises(InvalidRequest, match=r"queued|in_progress"):
        await create(stack, previous_response_id=queued.id)
    stream = await stack.responses.get_response(queued.id, stream=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta" and not gate.is_set():
            assert (await stack.responses.get_response(queued.id)).status == "in_progress"
            gate.set()
    assert [event.type.removeprefix("response.") for event in seen[:3]] == ["created", "queued", "in_progress"]
    done = await stack.responses.get_response(queued.id)
    assert (done.status, done.output_text) == ("completed", "Hello")
    again = [event async for event in await stack.responses.get_response(queued.id, stream=True)]
    assert [event.model_dump() for event in again] == [event.model_dump() for event in seen]
    rest = [e async for e in await stack.responses.get_response(queued.id, stream=True, starting_after=5)]
    assert [event.sequence_number for event in rest] == list(range(6, len(seen)))


async def test_the_background_can_be_streamed_at_once(stack: Any) -> None:
    Speaking.say(["Hello"])
    events = [event async for event in await create(stack, background=True, stream=True)]
    assert events[-1].response.output_text == "Hello"


async def test_cancel(stack: Any) -> None:
    Speaking.say(["Hel", asyncio.Event(), "lo"])
    queued = await create(stack, background=True)
    async for event in await stack.responses.get_response(queued.id, stream=True):
        if event.type == "response.output_text.delta":
            break
    cancelled = await stack.responses.cancel_response(queued.id)
    assert (cancelled.status, cancelled.output_text) == ("cancelled", "Hel")
    assert Speaking.closed == 1
    assert (await stack.responses.cancel_response(queued.id)).status == "cancelled"
    Speaking.say(["Hello"])
    done = await over(stack, (await create(stack, background=True)).id)
    assert (await stack.responses.cancel_response(done.id)).status == "completed"
    plain = await create(stack)
    with pytest.raises(InvalidRequest, match="not made in the background"):
        await stack.responses.cancel_response(plain.id)
    with pytest.raises(InvalidRequest, match="not made in the background"):
        await stack.responses.get_response(plain.id, stream=True)


async def test_an_unknown_model_in_the_background_is_a_failed_response(stack: Any) -> None:
    Speaking.say(["Hello"])
    failed = await over(stack, (await create(stack, model="up/nope", background=True)).id)
    assert failed.status == "failed" and "nope" in failed.error.message


async def test_a_stack_that_closes_fails_what_is_under_way(tmp_path: Path) -> None:
    Speaking.say(["Hel", asyncio.Event()])
    async with Stack.open(run_file(tmp_path)) as stack:
        queued = await create(stack, background=True)
        async for event in await stack.responses.get_response(queued.id, stream=True):
            if event.type == "response.output_text.delta":
                break
    async with Stack.open(run_file(tmp_path)) as stack:
        kept = await stack.responses.get_response(queued.id)
        assert kept.status == "failed" and "closed" in kept.error.message


@pytest.mark.slow
async def test_a_response_whose_process_is_gone_has_failed(tmp_path: Path) -> None:
    program = (
        "import asyncio, json, os, sys\n"
        "from stack_core import Stack\n"
        "from tests.stack_core.providers.responses.speaking import Speaking\n"
        "async def main():\n"
        "    Speaking.say(['Hel', asyncio.Event()])\n"
        "    async with Stack.open(json.loads(sys.argv[1])) as stack:\n"
        "        made = await stack.responses.create_response(model='up/m', input='hi', background=True)\n"
        "        async for event in await stack.responses.get_response(made.id, stream=True):\n"
        "            if event.type == 'response.output_text.delta':\n"
        "                print(made.id, flush=True)\n"
        "                os._exit(1)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, json.dumps(run_file(tmp_path))]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    response_id = run.stdout.strip()
    assert response_id, run.stderr
    async with Stack.open(run_file(tmp_path)) as stack:
        kept = await stack.responses.get_response(response_id)
        assert kept.status == "failed" and "process ended" in kept.error.message
        events = [event async for event in await stack.responses.get_response(response_id, stream=True)]
        assert [event.type for event in events] == ["response.failed"]


async def test_who_leaves_a_stream_leaves_a_cancelled_response(stack: Any) -> None:
    Speaking.say(["Hel", asyncio.Event(), "lo"])
    stream = await create(stack, stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.aclose()
    assert Speaking.closed == 1
    (row,) = (await stack.responses.list_responses()).data
    assert (row.status, row.output_text, row.output[0].status) == ("cancelled", "Hel", "incomplete")


@pytest.mark.slow
async def test_a_client_that_goes_away_leaves_a_cancelled_response(stack: Any) -> None:
    Speaking.say(["Hel", asyncio.Event(), "lo"])
    body = {"model": "up/m", "input": "hi", "stream": True}
    async with serving(stack) as url, httpx.AsyncClient() as http:
        async with http.stream("POST", f"{url}/v1/responses", json=body) as answer:
            async for line in answer.aiter_lines():
                if "output_text.delta" in line:
                    break
    (row,) = (await stack.responses.list_responses()).data
    assert (row.status, row.output_text) == ("cancelled", "Hel")


async def test_a_cancelled_call_leaves_a_cancelled_response(stack: Any) -> None:
    reached = asyncio.Event()
    Speaking.say(["Hel", reached.set, asyncio.Event(), "lo"])
    task = asyncio.create_task(create(stack))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (row,) = (await stack.responses.list_responses()).data
    assert row.status == "cancelled"


# ---- what is refused


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        ({"model": None}, InvalidRequest, "model"),
        ({"model": "up/nope"}, NotFound, "nope"),
        ({"input": None}, InvalidRequest, "input"),
        ({"input": []}, InvalidRequest, "nothing to answer"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, InvalidRequest, "do not go together"),
        ({"conversation": "conv_1"}, UnknownId, "conv_1"),
        ({"previous_response_id": "resp_1"}, UnknownId, "resp_1"),
        ({"background": True, "store": False}, InvalidRequest, "store"),
        ({"guardrails": ["llama-guard"]}, Unsupported, "guardrails"),
        ({"context_management": [{"compact_threshold": 9}]}, Unsupported, "context_management"),
        ({"include": ["reasoning.encrypted_content"]}, Unsupported, "encrypted_content"),
        ({"stream_options": {"include_obfuscation": True}}, Unsupported, "include_obfuscation"),
        ({"metadata": {"k": "v" * 513}}, InvalidRequest, "metadata"),
        ({"tools": [WEATHER, WEATHER]}, InvalidRequest, "weather"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "wether"}}, InvalidRequest, "weather"),
        ({"tool_choice": "required"}, InvalidRequest, "required"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, UnknownId, "vs_1"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, InvalidRequest, "vector_store_ids"),
        ({"prompt": {"id": "pmpt_1"}}, NotFound, "pmpt_1"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, InvalidRequest, "'c'"),
        ({"input": [{"type": "compaction", "encrypted_content": "gAAA"}]}, InvalidRequest, "compaction"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_refused(stack: Any, request_: dict[str, Any], error: type, says: str, stream: bool) -> None:
    Speaking.say(["Hello"])
    with pytest.raises(error) as caught:
        found = await create(stack, **request_, stream=stream)
        assert stream
        await anext(aiter(found))
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert (await stack.responses.list_responses()).data == []


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "mcp", "server_label": "s"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "image_generation"},
        {"type": "computer_use_preview"},
        {"type": "shell"},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "custom", "name": "c"},
    ],
)
async def test_tools_that_are_not_served_are_named(stack: Any, tool: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=tool["type"]):
        await create(stack, tools=[tool])


async def test_a_call_without_its_result_is_named(stack: Any) -> None:
    Speaking.say(call("weather", "{}"))
    first = await create(stack, tools=[WEATHER])
    with pytest.raises(InvalidRequest, match="call_1"):
        await create(stack, previous_response_id=first.id)


# ---- beside


async def test_compaction(stack: Any) -> None:
    Speaking.say(["one"])
    first = await create(stack, input="a")
    Speaking.say(["They said a."])
    pressed = await stack.responses.compact_response(model="up/m", previous_response_id=first.id)
    assert [item.type for item in pressed.output] == ["message", "compaction"]
    assert "They said" not in pressed.output[-1].encrypted_content
    assert "CHECKPOINT" in str(Speaking.asked[0].messages[-1].content)
    Speaking.say(["ok"])
    items = [item.model_dump(exclude_none=True) for item in pressed.output]
    await create(stack, input=[*items, {"role": "user", "content": "go on"}])
    told = [str(message.content) for message in Speaking.asked[0].messages]
    assert told[0] == "a" and told[1].endswith("They said a.") and told[2] == "go on"


async def test_input_tokens_are_those_the_service_counts(stack: Any) -> None:
    Speaking.say(["one"])
    counted = await stack.responses.count_input_tokens(model="up/m", input="a", instructions="Be brief.")
    assert counted.input_tokens == 2
    assert Speaking.asked[0].max_completion_tokens == 1
    with pytest.raises(InvalidRequest, match="model"):
        await stack.responses.count_input_tokens(input="a")


async def test_responses_are_kept_where_the_agents_of_the_run_file_say(tmp_path: Path) -> None:
    table = {"table_name": "answers", "backend": "other"}
    state = {"namespace": "agents", "backend": "kv"}
    agents = {
        "provider_id": "meta-reference",
        "provider_type": "inline::meta-reference",
        "config": {"persistence": {"agent_state": state, "responses": table}},
    }
    config = run_file(tmp_path)
    config["providers"]["agents"] = [agents]
    config["storage"]["backends"]["other"] = {"type": "sql_sqlite", "db_path": str(tmp_path / "other.db")}
    Speaking.say(["Hello"])
    async with Stack.open(config) as stack:
        await create(stack)
    assert b"answers_responses" in (tmp_path / "other.db").read_bytes()


async def test_it_is_built_at_its_first_call(stack: Any) -> None:
    found = stack.providers_by_key["responses", "builtin"]
    assert found.instance is None and found.error is None
    await stack.responses.list_responses()
    assert found.instance is not None


async def test_a_fault_in_the_config_of_agents_is_told_when_the_stack_opens(tmp_path: Path) -> None:
    config = run_file(tmp_path)
    agents = {"provider_type": "inline::meta-reference", "config": {"persistence": {"responses": {"table": "x"}}}}
    config["providers"]["agents"] = [agents]
    with pytest.raises(ConfigError, match=r"agents\[0\].config.persistence.responses.table_name"):
        async with Stack.open(config):
            pass


async def test_a_stack_without_inference_opens(tmp_path: Path) -> None:
    config = run_file(tmp_path)
    del config["providers"]["inference"]
    del config["registered_resources"], config["vector_stores"]
    async with Stack.open(config) as stack:
        with pytest.raises(NotFound):
            await create(stack)
