"""File search: the model asks, the stores answer, the answer cites."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core.errors import InvalidRequest
from tests.stack_core.providers.responses.speaking import Speaking, call


@pytest.fixture
async def store(stack: Any) -> Any:
    """A vector store with three files; (its id, file name → id)."""
    texts = {"cats.txt": "The cat sleeps all day.", "moon.txt": "The moon is far.", "tea.txt": "Tea is hot."}
    files = {
        name: (await stack.files.create_file(file=(name, text.encode()), purpose="assistants")).id
        for name, text in texts.items()
    }
    made = await stack.vector_stores.create_vector_store(name="s")
    for name, id in files.items():
        done = await stack.vector_stores.attach_file(made.id, file_id=id, attributes={"kind": name[:-4]})
        assert done.status == "completed", done
    return made.id, files


async def test_a_search_and_a_cited_answer(stack: Any, store: Any) -> None:
    id, files = store
    marker = f"<|{files['cats.txt']}|>"
    tools = [{"type": "file_search", "vector_store_ids": [id], "max_num_results": 2}]
    Speaking.say(call("file_search", '{"query": ', '"cat"}'), ["It sleeps ", marker[:5], marker[5:], "."])
    stream = await stack.responses.create_response(
        model="up/m", input="What does the cat do?", tools=tools, stream=True
    )
    events = [event async for event in stream]
    assert [event.type.removeprefix("response.") for event in events][2:7] == [
        "output_item.added", "file_search_call.in_progress", "file_search_call.searching",
        "file_search_call.completed", "output_item.done",
    ]  # fmt: skip
    response = events[-1].response
    search, message = response.output
    assert (search.queries, search.status, search.results) == (["cat"], "completed", None)
    part = message.content[0]
    assert part.text == "It sleeps."
    (citation,) = part.annotations
    assert (citation.file_id, citation.filename, citation.index) == (files["cats.txt"], "cats.txt", len("It sleeps"))
    assert [event.annotation for event in events if event.type.endswith("annotation.added")] == [citation]
    result = str(Speaking.asked[1].messages[-1].content)
    assert "The cat sleeps all day." in result and files["cats.txt"] in result
    assert response.usage.output_tokens == 3 + 4

    plain = await stack.responses.get_response(response.id)
    assert plain.output[0].results is None
    full = await stack.responses.get_response(response.id, include=["file_search_call.results"])
    first = full.output[0].results[0]
    assert (first.filename, first.text, first.attributes["kind"]) == ("cats.txt", "The cat sleeps all day.", "cats")
    assert len(full.output[0].results) == 2

    # The next response knows what was found, and may cite it.
    Speaking.say([f"As I said{marker}."])
    following = await stack.responses.create_response(model="up/m", input="Sure?", previous_response_id=response.id)
    assert [message.role for message in Speaking.asked[0].messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert following.output[0].content[0].annotations[0].file_id == files["cats.txt"]


async def test_results_come_where_they_are_asked_for(stack: Any, store: Any) -> None:
    id, files = store
    filters = {"type": "eq", "key": "kind", "value": "moon"}
    tools = [{"type": "file_search", "vector_store_ids": [id], "filters": filters}]
    Speaking.say(call("file_search", '{"queries": ["cat", "moon"]}'), ["Far."])
    response = await stack.responses.create_response(
        model="up/m", input="?", tools=tools, include=["file_search_call.results"]
    )
    assert [row.file_id for row in response.output[0].results] == [files["moon.txt"]]
    assert response.output[0].queries == ["cat", "moon"]


async def test_ranking_options_are_checked_at_once(stack: Any, store: Any) -> None:
    tools = [{"type": "file_search", "vector_store_ids": [store[0]], "ranking_options": {"score_threshold": 3}}]
    with pytest.raises(InvalidRequest, match=r"tools\[0\].ranking_options.score_threshold"):
        await stack.responses.create_response(model="up/m", input="?", tools=tools)


async def test_a_call_without_a_query_fails_and_the_model_is_told(stack: Any, store: Any) -> None:
    tools = [{"type": "file_search", "vector_store_ids": [store[0]]}]
    Speaking.say(call("file_search", "{}"), ["ok"])
    response = await stack.responses.create_response(model="up/m", input="?", tools=tools)
    assert (response.output[0].status, response.output_text) == ("failed", "ok")
    assert "query" in str(Speaking.asked[1].messages[-1].content)


async def test_the_same_call_thrice_ends_it_by_name(stack: Any, store: Any) -> None:
    tools = [{"type": "file_search", "vector_store_ids": [store[0]]}]
    Speaking.say(call("file_search", '{"query": "cat"}'))
    response = await stack.responses.create_response(model="up/m", input="?", tools=tools)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == 'same_call_3_times: file_search {"query": "cat"}'
    assert len(response.output) == 2


async def test_limits_of_calls_and_turns(stack: Any, store: Any) -> None:
    tools = [{"type": "file_search", "vector_store_ids": [store[0]]}]
    searches = [call("file_search", f'{{"query": "{word}"}}') for word in ("cat", "dog", "moon")]
    Speaking.say(searches[0], ["ok"])
    response = await stack.responses.create_response(model="up/m", input="?", tools=tools, max_tool_calls=1)
    assert response.output_text == "ok" and Speaking.asked[1].tools is None
    Speaking.say(*searches)
    response = await stack.responses.create_response(model="up/m", input="?", tools=tools, max_infer_iters=2)
    assert response.incomplete_details.reason == "max_infer_iters"
    assert len(Speaking.asked) == 2


async def test_a_choice_of_the_search_is_forced_once(stack: Any, store: Any) -> None:
    tools = [{"type": "file_search", "vector_store_ids": [store[0]]}]
    Speaking.say(call("file_search", '{"query": "cat"}'), ["ok"])
    await stack.responses.create_response(model="up/m", input="?", tools=tools, tool_choice={"type": "file_search"})
    first, second = Speaking.asked
    assert first.tool_choice and not isinstance(first.tool_choice, str) and first.tool_choice.function
    assert first.tool_choice.function.name == "file_search" and second.tool_choice is None


async def test_documents_fill_in_no_templates(stack: Any) -> None:
    file = await stack.files.create_file(file=("x.txt", b"cat {query} {file_id}"), purpose="assistants")
    made = await stack.vector_stores.create_vector_store(name="s", file_ids=[file.id])
    await stack.vector_stores.attach_file(made.id, file_id=file.id)
    Speaking.say(call("file_search", '{"query": "cat"}'), ["ok"])
    tools = [{"type": "file_search", "vector_store_ids": [made.id]}]
    await stack.responses.create_response(model="up/m", input="?", tools=tools)
    assert "cat {query} {file_id}" in str(Speaking.asked[1].messages[-1].content)
