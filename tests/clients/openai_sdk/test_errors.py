"""Every row of the table of errors, as the client's exception with a text that helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.stack_core.running import HI

pytestmark = pytest.mark.slow

Ask = Callable[[openai.OpenAI], Any]


def get(path: str) -> Ask:
    """What asks for a path that the client has no method for."""
    return lambda client: client.get(path, cast_to=object)


NOT_FOUND: dict[str, Ask] = {
    "model": lambda c: c.models.retrieve("none"),
    "model in a chat": lambda c: c.chat.completions.create(model="up/none", messages=HI),
    "model of a response": lambda c: c.responses.create(model="up/none", input="x"),
    "model in a completion": lambda c: c.completions.create(model="up/none", prompt="x"),
    "model in embeddings": lambda c: c.embeddings.create(model="up/none", input="x"),
    "file": lambda c: c.files.retrieve("file-none"),
    "file's content": lambda c: c.files.content("file-none"),
    "file to delete": lambda c: c.files.delete("file-none"),
    "batch": lambda c: c.batches.retrieve("batch_none"),
    "batch to cancel": lambda c: c.batches.cancel("batch_none"),
    "completion": lambda c: c.chat.completions.retrieve("chatcmpl-none"),
}
UNKNOWN_ID: dict[str, Ask] = {
    "vector store": lambda c: c.vector_stores.retrieve("vs_none"),
    "vector store to delete": lambda c: c.vector_stores.delete("vs_none"),
    "vector store's files": lambda c: c.vector_stores.files.list("vs_none"),
    "file batch": lambda c: c.vector_stores.file_batches.retrieve(
        "batch_none", vector_store_id=c.vector_stores.create(name="x").id
    ),
    "response": lambda c: c.responses.retrieve("resp_none"),
    "response's items": lambda c: c.responses.input_items.list("resp_none"),
    "conversation": lambda c: c.conversations.retrieve("conv_none"),
    "conversation's items": lambda c: c.conversations.items.list("conv_none"),
    "shield": lambda c: c.moderations.create(input="x", model="none"),
}
WRONG: dict[str, tuple[Ask, str]] = {
    "temperature": (lambda c: c.chat.completions.create(model="up/tiny", messages=HI, temperature=9), "temperature"),
    "messages": (lambda c: c.chat.completions.create(model="up/tiny", messages=[]), "messages"),
    "purpose": (lambda c: c.files.create(file=b"x", purpose="fun"), "purpose"),  # type: ignore[arg-type]  # wrong
    "expiry": (
        lambda c: c.files.create(file=b"x", purpose="batch", expires_after={"anchor": "created_at", "seconds": 1}),
        "seconds",
    ),
    "cursor": (lambda c: c.files.list(after="file-of-another-list"), "after"),
    "limit": (lambda c: c.vector_stores.list(limit=1000), "limit"),
    "days": (lambda c: c.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 0}), "days"),
    "endpoint": (
        lambda c: c.batches.create(input_file_id="x", endpoint="/v1/none", completion_window="24h"),  # type: ignore[arg-type]  # wrong
        "endpoint",
    ),
    "window": (
        lambda c: c.batches.create(input_file_id="x", endpoint="/v1/embeddings", completion_window="5m"),  # type: ignore[arg-type]  # wrong
        "completion_window",
    ),
    "item": (lambda c: c.conversations.create(items=[{"type": "mesage"}]), r"items\.0"),  # type: ignore[list-item,typeddict-item]  # wrong
    "another body": (lambda c: c.conversations.create(extra_body={"colour": "red"}), "colour"),
    "another query": (lambda c: c.batches.list(extra_query={"colour": "red"}), "colour"),
}


@pytest.mark.parametrize("ask", NOT_FOUND.values(), ids=NOT_FOUND)
def test_404(client: openai.OpenAI, ask: Ask) -> None:
    with pytest.raises(openai.NotFoundError, match="not found") as caught:
        ask(client)
    check(caught.value)


@pytest.mark.parametrize("ask", UNKNOWN_ID.values(), ids=UNKNOWN_ID)
def test_400_of_an_unknown_id(client: openai.OpenAI, ask: Ask) -> None:
    with pytest.raises(openai.BadRequestError, match="not found") as caught:
        ask(client)
    check(caught.value)


@pytest.mark.parametrize("ask, text", WRONG.values(), ids=WRONG)
def test_400_of_wrong_arguments(client: openai.OpenAI, ask: Ask, text: str) -> None:
    with pytest.raises(openai.BadRequestError, match=text) as caught:
        ask(client)
    check(caught.value)


def check(error: openai.APIStatusError) -> None:
    """Both clients find what they read; an answer that refuses does not end the connection."""
    body: Any = error.response.json()
    assert body["detail"]
    assert (body["error"]["message"], body["error"]["type"]) == (error.body["message"], error.type)  # type: ignore[index,call-overload]  # a mapping
    assert error.code
    assert error.response.headers.get("connection") != "close"


def test_a_route_that_is_not_there(client: openai.OpenAI) -> None:
    for ask in (get("/nothing"), get("/chat/nothing")):
        with pytest.raises(openai.NotFoundError, match="nothing"):
            ask(client)


def test_a_service_that_is_down(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as down:
        client.chat.completions.create(model="up/tiny", messages=HI, extra_body={"upstream": {"status": 500}})
    assert down.value.status_code in (502, 503)


def test_every_fault_of_a_body_at_once(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="up/tiny", messages=HI, temperature=9, top_p=7, n=0)
    faults = caught.value.response.json()["error"]["detail"]["errors"]
    assert sorted(fault["loc"] for fault in faults) == [["n"], ["temperature"], ["top_p"]]
    assert all(fault["msg"] and fault["type"] for fault in faults)
