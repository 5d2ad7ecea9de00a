"""One declaration is enough: routes, checked arguments and the bound object follow from the Protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest
from pydantic import BaseModel, ConfigDict

from stack_core.apis import APIS, all_routes, protocol
from stack_core.apis._bind import Bound
from stack_core.apis._declare import Route, route, routes_of
from stack_core.apis.inference import ChatCompletionChunk, ChatCompletionRequest
from stack_core.errors import InvalidRequest, NotFound


class Ask(BaseModel):
    model_config = ConfigDict(extra="allow")
    model: str
    count: int = 1


class Sample(Protocol):
    @route("POST", "/samples/{name:path}", level="v1alpha", key="model")
    async def make(self, name: str, request: Ask) -> str | AsyncIterator[int]:
        """Make a sample."""
        ...

    @route("GET", "/samples")
    async def find(self, word: str, most: int = 3) -> list[str]:
        """Find samples."""
        ...


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[Route, dict[str, Any]]] = []

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        self.calls.append((route, args))
        return "done"


def test_route_reads_everything_from_the_declaration() -> None:
    make, find = routes_of(Sample)
    assert (make.verb, make.url, make.key, make.name) == ("POST", "/v1alpha/samples/{name:path}", "model", "make")
    assert make.path_params == {"name"}
    assert make.request is Ask
    assert (make.item, make.result) == (int, str)
    assert (find.item, find.result, find.request) == (None, list[str], None)
    assert make.doc == "Make a sample."


def test_chat_completion_streams_chunks() -> None:
    chat = next(r for r in routes_of(protocol("inference")) if r.name == "chat_completion")
    assert chat.item is ChatCompletionChunk
    assert chat.request is ChatCompletionRequest
    assert chat.url == "/v1/chat/completions"


async def test_bound_folds_keywords_into_the_request_model() -> None:
    door = Recorder()
    await Bound(Sample, door).make("a/b", model="m", count="2", vendor_field=True)
    (_, args) = door.calls[0]
    assert args["name"] == "a/b"
    assert (args["request"].count, args["request"].vendor_field) == (2, True)


async def test_bound_takes_a_ready_request_without_copying_it() -> None:
    door = Recorder()
    ready = Ask(model="m")
    await Bound(Sample, door).make(name="x", request=ready)
    assert door.calls[0][1]["request"] is ready


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {"word": "x", "mots": 3}, ["mots", "did you mean most"]),
        ((), {}, ["word", "field required"]),
        (("a", 2, 3), {}, ["at most 2 positional"]),
        (("a",), {"word": "b"}, ["word given twice"]),
        ((), {"word": "x", "most": "many"}, ["most", "valid integer"]),
    ],
)
async def test_wrong_arguments_are_named(args: tuple[Any, ...], kwargs: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await Bound(Sample, Recorder()).find(*args, **kwargs)
    for word in words:
        assert word in caught.value.message


async def test_every_fault_of_a_body_is_reported_at_once() -> None:
    messages = [{"role": "user"}, {"role": "nobody", "content": "x"}]
    with pytest.raises(InvalidRequest) as caught:
        await Bound(protocol("inference"), Recorder()).chat_completion(messages=messages, temperature=9)
    places = {".".join(map(str, fault["loc"])) for fault in caught.value.errors}
    assert {"model", "temperature", "messages.0.user.content", "messages.1"} <= places


def test_unknown_method_and_api_name_the_nearest() -> None:
    with pytest.raises(AttributeError, match="chat_completion"):
        _ = Bound(protocol("inference"), Recorder()).chat_completions
    with pytest.raises(NotFound, match="infrence") as caught:
        protocol("infrence")
    assert caught.value.nearest == ["inference"]


def test_no_two_routes_answer_the_same_request() -> None:
    seen = [(r.verb, r.url) for r in all_routes()]
    assert len(seen) == len(set(seen))
    assert {r.api for r in all_routes()} == set(APIS)


def test_every_route_says_what_it_does() -> None:
    assert [r.id for r in all_routes() if not r.doc] == []
