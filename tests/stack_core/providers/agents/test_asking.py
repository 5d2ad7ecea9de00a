"""What an agent's config and a turn's documents ask of the model, and what is refused by its name."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import InvalidRequest, NotFound, StackError, UnknownId, Unsupported
from tests.stack_core.providers.agents.workshop import run_file, session, turn
from tests.stack_core.providers.responses.speaking import Speaking, call

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


async def test_settings_reach_the_model(stack: Any) -> None:
    Speaking.say(["{}"])
    strategy = {"type": "top_p", "temperature": 0.5, "top_p": 0.9}
    sampling = {"strategy": strategy, "max_tokens": 7, "stop": ["x"], "repetition_penalty": 1.1}
    form = {"type": "json_schema", "json_schema": {"type": "object"}}
    await turn(stack, await session(stack, sampling_params=sampling, response_format=form))
    asked = Speaking.asked[0]
    assert (asked.temperature, asked.top_p, asked.max_completion_tokens, asked.stop) == (0.5, 0.9, 7, ["x"])
    assert asked.model_dump()["repetition_penalty"] == 1.1
    assert asked.response_format.json_schema.schema_ == {"type": "object"}
    await turn(stack, await session(stack, sampling_params={"strategy": {"type": "top_k", "top_k": 3}}))
    assert Speaking.asked[1].model_dump()["top_k"] == 3
    await turn(stack, await session(stack, sampling_params={}))
    assert Speaking.asked[2].temperature == 0


@pytest.mark.parametrize(
    ("config", "kind", "said"),
    [
        ({"response_format": {"type": "grammar", "bnf": {}}}, Unsupported, "response_format"),
        ({"tool_prompt_format": "json"}, Unsupported, "tool_prompt_format"),
        ({"tool_config": {"tool_prompt_format": "json"}}, Unsupported, "tool_prompt_format"),
        ({"tool_config": {"system_message_behavior": "replace"}}, Unsupported, "system_message_behavior"),
        ({"tool_choice": "none", "tool_config": {"tool_choice": "required"}}, InvalidRequest, "different"),
    ],
)
async def test_what_is_not_served_is_refused(stack: Any, config: Any, kind: type[StackError], said: str) -> None:
    with pytest.raises(kind, match=said):
        await session(stack, **config)


async def test_tool_choices(stack: Any) -> None:
    Speaking.say(["ok"])
    place = await session(stack, toolgroups=["maths"], tool_config={"tool_choice": "add"})
    await turn(stack, place)
    assert Speaking.asked[0].tool_choice.function.name == "add"
    await turn(stack, place, tool_config={"tool_choice": "none"}, toolgroups=["maths/break"])
    assert Speaking.asked[1].tool_choice == "none"
    assert [tool.function.name for tool in Speaking.asked[1].tools] == ["break"]
    with pytest.raises(InvalidRequest, match="no tool 'ad'") as caught:
        await turn(stack, place, tool_config={"tool_choice": "ad"})
    assert "add" in str(caught.value.hint)
    with pytest.raises(InvalidRequest, match="several tools"):
        await turn(stack, await session(stack, toolgroups=["maths"], client_tools=[{"name": "add"}]))
    with pytest.raises(InvalidRequest, match="no tools"):
        await turn(stack, await session(stack, tool_choice="required"))
    with pytest.raises(NotFound, match="tool group"):
        await turn(stack, place, toolgroups=["math"])


async def test_documents_and_images(stack: Any) -> None:
    Speaking.say(["ok"])
    place = await session(stack)
    page = base64.b64encode(b"<html><body><p>Tea is warm.</p></body></html>").decode()
    documents = [
        {"content": "The moon is far.", "mime_type": "text/plain"},
        {"content": {"uri": f"data:text/html;base64,{page}"}, "mime_type": "text/html"},
        {"content": {"type": "image", "image": {"data": PIXEL}}, "mime_type": "image/png"},
    ]
    whole = await turn(stack, place, documents=documents)
    parts = Speaking.asked[0].messages[-1].content
    assert [part.type for part in parts] == ["text", "text", "text", "image_url"]
    assert "The moon is far." in parts[1].text and "Tea is warm." in parts[2].text
    assert parts[3].image_url.url == f"data:image/png;base64,{PIXEL}"
    assert whole.input_messages[0].content == "hi"
    for address in ("https://example.org/x", {"uri": "https://example.org/x"}):
        with pytest.raises(Unsupported, match="fetches no addresses"):
            await turn(stack, place, documents=[{"content": address, "mime_type": "text/plain"}])
    with pytest.raises(InvalidRequest, match="no known type"):
        await turn(stack, place, messages=[{"role": "user", "content": {"type": "image", "image": {"data": "AAAA"}}}])
    with pytest.raises(InvalidRequest, match="at least one"):
        await turn(stack, place, messages=[])


async def test_what_the_stack_adds_goes_along(stack: Any) -> None:
    Speaking.say(["ok"])
    await turn(stack, await session(stack), messages=[{"role": "user", "content": "a", "context": "b"}])
    assert Speaking.asked[0].messages[-1].content == "a\nb"


async def test_without_providers_of_tools_and_safety(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, bare=True)) as stack:
        place = await session(stack)
        with pytest.raises(Unsupported, match="builtin::websearch"):
            await turn(stack, place, toolgroups=["builtin::websearch"])
        with pytest.raises(Unsupported, match="input_shields"):
            await session(stack, input_shields=["watch"])
        with pytest.raises(InvalidRequest, match="vector_store_ids"):
            await turn(stack, place, toolgroups=["builtin::rag"])
        group = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["vs_nope"]}}
        with pytest.raises(UnknownId):
            await turn(stack, place, toolgroups=[group])


async def test_documents_are_searched(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, bare=True)) as stack:
        kept = await stack.files.create_file(file=("moon.txt", b"The moon is made of tea."), purpose="assistants")
        store = await stack.vector_stores.create_vector_store(name="docs")
        await stack.vector_stores.attach_file(store.id, file_id=kept.id)
        group = {"name": "builtin::rag", "args": {"vector_store_ids": [store.id]}}
        Speaking.say(call("knowledge_search", '{"query": "moon"}'), ["Of tea"])
        whole = await turn(stack, await session(stack, toolgroups=[group]))
        step = whole.steps[1]
        assert "made of tea" in step.tool_responses[0].content and "moon.txt" in step.tool_responses[0].content
        assert step.tool_responses[0].metadata["file_ids"] == [kept.id]


async def test_a_provider_that_searches_documents(tmp_path: Path) -> None:
    config = run_file(tmp_path, bare=True)
    entry = {"provider_id": "rag", "provider_type": "inline::rag-runtime", "config": {}}
    config["providers"]["tool_runtime"] = [entry]
    config["registered_resources"]["tool_groups"] = [{"toolgroup_id": "builtin::rag", "provider_id": "rag"}]
    async with Stack.open(config) as stack:
        kept = await stack.files.create_file(file=("moon.txt", b"The moon is made of tea."), purpose="assistants")
        store = await stack.vector_stores.create_vector_store(name="docs")
        await stack.vector_stores.attach_file(store.id, file_id=kept.id)
        group = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": [store.id]}}
        Speaking.say(call("knowledge_search", '{"query": "moon"}'), ["Of tea"])
        whole = await turn(stack, await session(stack, toolgroups=[group]))
        assert "made of tea" in whole.steps[1].tool_responses[0].content
