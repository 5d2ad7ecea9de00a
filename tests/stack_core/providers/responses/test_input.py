"""What a response is made from: items of all kinds, files, prompts and conversations, as the model is told of them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stack_core.errors import InvalidRequest, NotFound, Unsupported
from tests.stack_core.providers.responses.speaking import Speaking, call

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


async def told(stack: Any, given: Any, **request: Any) -> list[Any]:
    """The messages that the model is asked with."""
    Speaking.say(["ok"])
    await stack.responses.create_response(**{"model": "up/m", "input": given, **request})
    return [message.model_dump(exclude_none=True) for message in Speaking.asked[0].messages]


async def test_messages_of_all_roles(stack: Any) -> None:
    messages = await told(
        stack,
        [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "c", "annotations": []}]},
            {"role": "user", "content": "d"},
        ],
        instructions="Be brief.",
    )
    assert [(message["role"], message["content"]) for message in messages] == [
        ("system", "Be brief."),
        ("system", "Be kind."),
        ("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        ("assistant", "c"),
        ("user", "d"),
    ]


async def test_calls_and_their_results(stack: Any) -> None:
    messages = await told(
        stack,
        [
            {"role": "user", "content": "a"},
            {"type": "reasoning", "summary": [], "id": "rs_1"},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "one"},
            {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "two"}]},
        ],
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert [made["id"] for made in messages[1]["tool_calls"]] == ["1", "2"]
    assert [message["content"] for message in messages[2:]] == ["one", "two"]


async def test_images(stack: Any) -> None:
    file = await stack.files.create_file(file=("dot.png", PIXEL), purpose="vision")
    parts = [
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
        {"type": "input_image", "file_id": file.id},
    ]
    (message,) = await told(stack, [{"role": "user", "content": parts}])
    first, second = (part["image_url"] for part in message["content"])
    assert first == {"url": "https://example.org/a.png", "detail": "low"}
    assert second == {"url": "data:image/png;base64," + base64.b64encode(PIXEL).decode()}
    with pytest.raises(InvalidRequest, match="input_image"):
        await told(stack, [{"role": "user", "content": [{"type": "input_image"}]}])
    with pytest.raises(NotFound):
        await told(stack, [{"role": "user", "content": [{"type": "input_image", "file_id": "file-x"}]}])


async def test_files(stack: Any) -> None:
    file = await stack.files.create_file(file=("cats.md", b"# Cats\n\nThey sleep."), purpose="assistants")
    data = base64.b64encode(b"Dogs bark.").decode()
    parts = [
        {"type": "input_file", "file_id": file.id},
        {"type": "input_file", "file_data": f"data:text/plain;base64,{data}", "filename": "dogs.txt"},
        {"type": "input_text", "text": "What do they do?"},
    ]
    (message,) = await told(stack, [{"role": "user", "content": parts}])
    texts = [part["text"] for part in message["content"]]
    assert texts[0].startswith("File cats.md:") and "They sleep." in texts[0]
    assert texts[1] == "File dogs.txt:\nDogs bark.\nEnd of file dogs.txt.\n"


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({}, InvalidRequest),
        ({"file_data": "§"}, InvalidRequest),
        ({"file_id": "file-x"}, NotFound),
        ({"file_id": "file-x", "file_data": "eA=="}, InvalidRequest),
        ({"file_url": "http://127.0.0.1/secret"}, Unsupported),
    ],
)
async def test_files_that_are_refused(stack: Any, part: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        await told(stack, [{"role": "user", "content": [{"type": "input_file", **part}]}])


async def test_prompts(stack: Any) -> None:
    made = await stack.prompts.create_prompt(prompt="You are {{ name }} of {{ place }}.", variables=["name", "place"])
    variables = {"name": "{{ place }}", "place": {"type": "input_text", "text": "Oslo"}}
    messages = await told(stack, "hi", prompt={"id": made.prompt_id, "version": "1", "variables": variables})
    assert messages[0] == {"role": "system", "content": "You are {{ place }} of Oslo."}
    alone = await told(stack, None, prompt={"id": made.prompt_id, "variables": variables})
    assert alone == [{"role": "user", "content": "You are {{ place }} of Oslo."}]
    for given, says in (
        ({"variables": {"name": "x"}}, "place"),
        ({"variables": {**variables, "x": "y"}}, "x"),
        ({"variables": variables, "version": "two"}, "version"),
    ):
        with pytest.raises(InvalidRequest, match=says):
            await told(stack, "hi", prompt={"id": made.prompt_id, **given})


async def test_a_conversation_is_read_before_and_added_to_after(stack: Any) -> None:
    items = [{"type": "message", "role": "user", "content": "My name is Ann."}]
    conversation = await stack.conversations.create_conversation(items=items)
    Speaking.say(call("weather", "{}"), ["Hello"])
    tools = [{"type": "function", "name": "weather", "parameters": {}}]
    asked: dict[str, Any] = {"model": "up/m", "conversation": conversation.id, "tools": tools}
    first = await stack.responses.create_response(**asked, input="Weather?")
    assert first.conversation.id == conversation.id
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sun"}
    await stack.responses.create_response(**{**asked, "conversation": {"id": conversation.id}}, input=[output])
    assert [message.role for message in Speaking.asked[1].messages] == ["user", "user", "assistant", "tool"]
    kept = await stack.conversations.list_items(conversation.id, order="asc")
    assert [item.type for item in kept.data] == [
        "message", "message", "function_call", "function_call_output", "message"
    ]  # fmt: skip
    assert kept.data[2].id == first.output[0].id


async def test_a_long_conversation_is_read_and_added_to_in_pages(stack: Any) -> None:
    conversation = await stack.conversations.create_conversation()
    many = [{"role": "user", "content": str(number)} for number in range(120)]
    await told(stack, many, conversation=conversation.id)
    messages = await told(stack, "last", conversation=conversation.id)
    assert [message["content"] for message in messages] == [*map(str, range(120)), "ok", "last"]


async def test_structured_answers(stack: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "name": "fact", "schema": schema, "strict": True}
    await told(stack, "hi", text={"format": form, "verbosity": "low"})
    asked = Speaking.asked[0]
    assert asked.response_format and asked.response_format.json_schema
    assert asked.response_format.json_schema.schema_ == schema and asked.response_format.json_schema.strict
    assert asked.verbosity == "low"
    await told(stack, "hi", text={"format": {"type": "json_object"}})
    assert Speaking.asked[0].response_format and Speaking.asked[0].response_format.type == "json_object"


async def test_settings_reach_the_model(stack: Any) -> None:
    given: dict[str, Any] = {
        "temperature": 0.1, "top_p": 0.2, "frequency_penalty": 0.3, "presence_penalty": 0.4, "user": "u",
        "safety_identifier": "s", "service_tier": "flex", "prompt_cache_key": "k", "prompt_cache_retention": "24h",
    }  # fmt: skip
    await told(stack, "hi", **given, top_logprobs=3)
    asked = Speaking.asked[0].model_dump()
    assert {name: asked[name] for name in given} == given
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 3)
