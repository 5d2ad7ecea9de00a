"""Responses: made, streamed, followed up, read back and forgotten."""

from __future__ import annotations

import openai
import pytest

from tests.stack_core.running import WORDS

pytestmark = pytest.mark.slow


def test_responses(client: openai.OpenAI) -> None:
    made = client.responses.create(model="up/tiny", input="echo:one", metadata={"k": "v"})
    assert (made.output_text, made.status, made.metadata) == ("one", "completed", {"k": "v"})
    found = client.responses.retrieve(made.id)
    assert (found.id, found.output_text) == (made.id, "one")
    assert [item.to_dict()["content"] for item in client.responses.input_items.list(made.id)] == [
        [{"type": "input_text", "text": "echo:one"}]
    ]
    more = client.responses.create(model="up/tiny", input="echo:two", previous_response_id=made.id)
    assert (more.previous_response_id, more.output_text) == (made.id, "two")
    client.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.retrieve(made.id)


def test_a_stream(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="up/tiny", input="hi", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == WORDS
    assert [event.text for event in events if event.type == "response.output_text.done"] == [WORDS]
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
