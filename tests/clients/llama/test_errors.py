"""What goes wrong comes as the client's own exception, with a text that says what and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import llama_stack_client
import pytest

from tests.stack_core.running import HI

pytestmark = pytest.mark.slow

Ask = Callable[[Any], Any]


def call(path: str) -> Ask:
    """What asks for a path, for what a version of the client has no method for."""
    return lambda llama: llama.get(path, cast_to=object)


def post(path: str, **body: Any) -> Ask:
    """What sends a body to a path."""
    return lambda llama: llama.post(path, cast_to=object, body=body)


NOT_FOUND: dict[str, Ask] = {
    "model": lambda llama: llama.chat.completions.create(model="up/none", messages=HI),
    "model of a response": lambda llama: llama.responses.create(model="up/none", input="x"),
    "model, asked for": lambda llama: llama.models.retrieve("none"),
    "file": lambda llama: llama.files.retrieve("file-none"),
    "file's content": lambda llama: llama.files.content("file-none"),
    "batch": call("/v1/batches/batch_none"),
    "route": call("/v1/none"),
    "dataset": call("/v1beta/datasetio/iterrows/none"),
    "prompt": call("/v1/prompts/pmpt_" + "0" * 48),
    "completion": lambda llama: llama.chat.completions.retrieve("chatcmpl-none"),
}
UNKNOWN_ID: dict[str, Ask] = {
    "vector store": lambda llama: llama.vector_stores.retrieve("vs_none"),
    "search in one": lambda llama: llama.vector_stores.search("vs_none", query="x"),
    "file batch": lambda llama: llama.vector_stores.file_batches.retrieve(
        "batch_none", vector_store_id=llama.vector_stores.create(name="x").id
    ),
    "conversation": lambda llama: llama.conversations.retrieve("conv_none"),
    "response": lambda llama: llama.responses.retrieve("resp_none"),
    "response to delete": lambda llama: llama.responses.delete("resp_none"),
    "shield": lambda llama: llama.shields.retrieve("none"),
    "shield, asked": lambda llama: llama.safety.run_shield(
        shield_id="none", messages=HI, **({} if llama_stack_client.__version__ > "0.4" else {"params": {}})
    ),
}


@pytest.mark.parametrize("ask", NOT_FOUND.values(), ids=NOT_FOUND)
def test_404(llama: Any, ask: Ask) -> None:
    with pytest.raises(llama_stack_client.NotFoundError) as caught:
        ask(llama)
    assert "not found" in caught.value.body["detail"] or "no route" in caught.value.body["detail"]
    assert caught.value.body["detail"] in str(caught.value)


def test_the_nearest_model_is_named(llama: Any) -> None:
    asked: list[Ask] = [
        lambda llama: llama.chat.completions.create(model="up/tinny", messages=HI),
        lambda llama: llama.chat.completions.create(model="up/tinny", messages=HI, stream=True),
        lambda llama: llama.completions.create(model="up/tinny", prompt="x"),
        lambda llama: llama.embeddings.create(model="up/tinny", input="x"),
    ]
    for ask in asked:
        with pytest.raises(llama_stack_client.NotFoundError, match="model 'up/tinny' not found") as caught:
            ask(llama)
        assert caught.value.body["error"]["hint"] == "did you mean up/tiny?"


@pytest.mark.parametrize("ask", UNKNOWN_ID.values(), ids=UNKNOWN_ID)
def test_400_of_an_unknown_id(llama: Any, ask: Ask) -> None:
    with pytest.raises(llama_stack_client.BadRequestError, match="not found") as caught:
        ask(llama)
    assert "not found" in caught.value.body["detail"]


def test_the_shape_of_wrong_arguments(llama: Any) -> None:
    with pytest.raises(llama_stack_client.BadRequestError) as caught:
        llama.chat.completions.create(model="up/tiny", messages=HI, temperature=9, top_p="much")
    faults = caught.value.body["error"]["detail"]["errors"]
    assert sorted(fault["loc"] for fault in faults) == [["temperature"], ["top_p"]]
    assert all(fault["msg"] and fault["type"] for fault in faults)
    assert "temperature" in caught.value.body["error"]["message"]


def test_unknown_fields_are_refused_by_name(llama: Any) -> None:
    file = ("a.txt", b"x")
    asked: list[Ask] = [
        lambda llama: llama.files.create(file=file, purpose="assistants", extra_body={"colour": "red"}),
        lambda llama: llama.vector_stores.create(name="x", extra_body={"colour": "red"}),
        lambda llama: llama.conversations.create(extra_body={"colour": "red"}),
        lambda llama: llama.shields.register(shield_id="x", provider_id="toy-guard", extra_body={"colour": "red"}),
        lambda llama: llama.files.list(extra_query={"colour": "red"}),
        lambda llama: llama.vector_stores.list(extra_query={"colour": "red"}),
        post("/v1/prompts", prompt="x", colour="red"),
        post("/v1beta/datasets", purpose="eval/question-answer", source={"type": "rows", "rows": []}, colour="red"),
        post("/v1/batches", input_file_id="x", endpoint="/v1/chat/completions", completion_window="24h", colour="red"),
    ]
    for ask in asked:
        with pytest.raises(llama_stack_client.BadRequestError, match="colour"):
            ask(llama)


def test_batches(llama: Any) -> None:
    file = llama.files.create(file=("in.jsonl", b"{}"), purpose="batch").id
    fine = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    for wrong, name in (({"endpoint": "/v1/none"}, "endpoint"), ({"completion_window": "5m"}, "completion_window")):
        with pytest.raises(llama_stack_client.BadRequestError, match=name):
            post("/v1/batches", **fine | wrong)(llama)
    made = post("/v1/batches", **fine)(llama)
    while (made := call(f"/v1/batches/{made['id']}")(llama))["status"] not in ("completed", "failed"):
        pass
    with pytest.raises(llama_stack_client.ConflictError, match=made["status"]):
        post(f"/v1/batches/{made['id']}/cancel")(llama)
    key = f"key-{file}"
    first = post("/v1/batches", **fine, idempotency_key=key)(llama)
    assert post("/v1/batches", **fine, idempotency_key=key)(llama)["id"] == first["id"]
    with pytest.raises(llama_stack_client.ConflictError, match="idempotency_key"):
        post("/v1/batches", **fine, idempotency_key=key, metadata={"other": "one"})(llama)


def test_an_error_inside_a_stream(llama: Any, new: bool) -> None:
    stream = llama.chat.completions.create(
        model="up/tiny", messages=HI, stream=True, extra_body={"upstream": {"break_after": 2}}
    )
    if new:
        with pytest.raises(llama_stack_client.APIError, match="broke"):
            list(stream)
    else:  # that version gives what comes as a chunk
        assert "broke" in list(stream)[-1].error["message"]


def test_what_the_service_says_comes_through(llama: Any) -> None:
    kinds = {401: llama_stack_client.AuthenticationError, 429: llama_stack_client.RateLimitError}
    for status, kind in kinds.items():
        with pytest.raises(kind):
            llama.chat.completions.create(model="up/tiny", messages=HI, extra_body={"upstream": {"status": status}})


def test_a_connection_outlives_refusals(llama: Any) -> None:
    """The peer closes connections after some of them."""
    answers: list[httpx.Response] = []
    llama._client.event_hooks["response"].append(answers.append)
    for ask in (*NOT_FOUND.values(), *UNKNOWN_ID.values()):
        with pytest.raises(llama_stack_client.APIStatusError):
            ask(llama)
    assert len(answers) >= len(NOT_FOUND)
    assert all(answer.headers.get("connection") != "close" for answer in answers)
    ports = {
        stream.get_extra_info("client_addr")
        for answer in answers
        if (stream := answer.extensions.get("network_stream"))
    }
    assert len(ports) <= 1
