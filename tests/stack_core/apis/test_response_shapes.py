"""Requests for responses: what is known, what is refused and where, and that nothing of OpenAI's client is missing."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import openai
import pytest
from openai.resources.chat.completions import Completions
from openai.resources.conversations import Conversations
from openai.resources.conversations.items import Items
from openai.resources.responses import Responses
from pydantic import BaseModel, TypeAdapter, ValidationError

from stack_core.apis._items import InputItem, OutputItem
from stack_core.apis._response_events import StreamEvent
from stack_core.apis.conversations import CreateConversationRequest, CreateItemsRequest, ListItemsRequest
from stack_core.apis.inference import ListCompletionsRequest, ToolCall
from stack_core.apis.responses import (
    CompactResponseRequest,
    CreateResponseRequest,
    GetResponseRequest,
    ListInputItemsRequest,
)

HOW = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
IN_THE_PATH = {"response_id", "conversation_id", "item_id", "completion_id"}


@pytest.mark.parametrize(
    ("method", "model"),
    [
        (Responses.create, CreateResponseRequest),
        (Responses.retrieve, GetResponseRequest),
        (Responses.compact, CompactResponseRequest),
        (Conversations.create, CreateConversationRequest),
        (Items.create, CreateItemsRequest),
        (Items.list, ListItemsRequest),
        (Completions.list, ListCompletionsRequest),
        (openai.resources.responses.input_items.InputItems.list, ListInputItemsRequest),
    ],
)
def test_whatever_openais_client_sends_is_declared_or_refused_by_its_name(method: Any, model: type[BaseModel]) -> None:
    """The client is ahead of the specification: what it has from later versions is never dropped."""
    sent = set(inspect.signature(method).parameters) - HOW - IN_THE_PATH
    later = sent - set(model.model_fields)
    assert later <= faults(model, **dict.fromkeys(later, "x")).keys()
    assert len(later) < len(sent) / 2


def faults(model: type[BaseModel], /, **data: object) -> dict[str, str]:
    if not data:
        return {}
    with pytest.raises(ValidationError) as wrong:
        model.model_validate(data)
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in wrong.value.errors()}


def test_an_unknown_type_is_refused_with_its_place() -> None:
    found = faults(CreateResponseRequest, model="m", input="x", tools=[{"type": "file_serch", "vector_store_ids": []}])
    assert "file_search" in found["tools.0"]
    found = faults(CreateItemsRequest, items=[{"role": "user", "content": "x"}, {"type": "mesage"}])
    assert "message" in found["items.1"]
    assert faults(CreateItemsRequest, items=[{"type": ["list"]}])["items.0"]
    assert faults(CreateItemsRequest, items=["text"])["items.0"]


def test_an_unknown_field_of_a_request_is_refused_by_its_name() -> None:
    assert "temprature" in faults(CreateResponseRequest, model="m", input="x", temprature=1)


def test_an_unknown_type_of_what_a_service_gives_is_kept() -> None:
    item = {"type": "hologram", "id": "h_1", "shape": {"sides": 6}}
    adapter: TypeAdapter[OutputItem] = TypeAdapter(OutputItem)
    assert adapter.dump_python(adapter.validate_python(item)) == item
    event = {"type": "response.hologram.done", "sequence_number": 4, "hologram": "x"}
    events: TypeAdapter[StreamEvent] = TypeAdapter(StreamEvent)
    assert events.dump_python(events.validate_json(json.dumps(event))) == event


def test_messages_and_references_need_no_type() -> None:
    adapter: TypeAdapter[list[InputItem]] = TypeAdapter(list[InputItem])
    kinds = [item.type for item in adapter.validate_python([{"role": "user", "content": "x"}, {"id": "msg_1"}])]
    assert kinds == ["message", "item_reference"]


def test_a_call_of_a_custom_tool_has_no_function() -> None:
    custom = {"id": "c", "type": "custom", "custom": {"name": "grep", "input": "x"}}
    assert ToolCall.model_validate(custom).model_dump() == custom
    plain = {"id": "c", "type": "function", "function": {"name": "", "arguments": ""}}
    assert ToolCall.model_validate(plain).model_dump() == plain


def test_declaring_them_builds_no_validator() -> None:
    code = (
        "import stack_core.apis.responses as r, stack_core.apis.conversations, stack_core.apis.batches;"
        "print([m for m in vars(r).values() if getattr(m, '__module__', '') == r.__name__"
        " and getattr(m, '__pydantic_complete__', False)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
