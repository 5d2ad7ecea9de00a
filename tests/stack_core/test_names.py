"""The names of Llama Stack's client: every one of them is there, and gives what that client gives."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from stack_core import AsyncStackClient, Stack, StackClient
from stack_core.errors import InvalidRequest, NotFound, ProviderTimeout
from stack_core.names import names
from tests.stack_core.probe import serving

pytest.importorskip("llama_stack_client")

ECHO = {"provider_id": "echo", "provider_type": "inline::echo", "module": "tests.stack_core.echo_provider"}
STORAGE = {
    "backends": {
        "kv": {"type": "kv_sqlite", "db_path": ":memory:"},
        "sql": {"type": "sql_sqlite", "db_path": ":memory:"},
    },
    "stores": {"inference": {"table_name": "inference_store", "backend": "sql"}},
}
GIVEN = {"name": "t", "providers": {"inference": [ECHO]}, "storage": STORAGE}
HELLO = [{"role": "user", "content": "a b c"}]


def theirs() -> Iterator[str]:
    """Every method of Llama Stack's client, by its dotted name."""
    import llama_stack_client

    client = llama_stack_client.LlamaStackClient(base_url="http://localhost")
    waiting: list[tuple[str, Any]] = [("", client)]
    seen: set[type] = set()
    while waiting:
        path, point = waiting.pop()
        for name in dir(type(point)):
            member = inspect.getattr_static(type(point), name)
            if name.startswith("_") or name.startswith("with_"):
                continue
            if hasattr(member, "func") or isinstance(member, property):  # a resource, made at its first use
                below = getattr(point, name, None)
                if type(below).__module__.startswith("llama_stack_client.resources") and type(below) not in seen:
                    seen.add(type(below))
                    waiting.append((f"{path}{name}.", below))
            elif path and inspect.isfunction(member):
                yield f"{path}{name}"


def test_every_method_of_llama_stack_s_client_is_there() -> None:
    missing = sorted(set(theirs()) - set(names()))
    assert missing == []


@pytest.fixture
def client() -> Iterator[StackClient]:
    with StackClient.open(GIVEN) as found:
        yield found


def test_a_list_without_pages_is_the_list(client: StackClient) -> None:
    assert [model.identifier for model in client.models.list()] == ["echo/one", "echo/two"]
    assert [model.identifier for model in client.models.list_models().data] == ["echo/one", "echo/two"]


def test_pages_are_walked_through(client: StackClient) -> None:
    made = [client.chat.completions.create(model="echo/one", messages=HELLO).id for _ in range(5)]
    assert len(made) == 5
    page = client.chat.completions.list(limit=2)
    assert len(page.data) == 2
    assert page.has_more
    assert len(page.get_next_page().data) == 2
    assert len(list(page)) == 5
    assert not client.chat.completions.list().has_next_page()


def test_a_stream_may_be_left(client: StackClient) -> None:
    stream = client.chat.completions.create(model="echo/one", messages=HELLO, stream=True)
    assert next(stream).choices[0].delta.content == "a"
    stream.close()
    whole = client.chat.completions.create(model="echo/one", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in whole) == "a b c"


def test_options_of_their_client(client: StackClient) -> None:
    body = {"messages": HELLO}
    assert client.chat.completions.create(model="echo/one", extra_body=body, timeout=30).model == "echo/one"
    with pytest.raises(InvalidRequest, match="extra_headers"):
        client.models.list(extra_headers={"a": "b"})
    with pytest.raises(ProviderTimeout):
        client.models.list(timeout=0)


def test_mistakes(client: StackClient) -> None:
    with pytest.raises(NotFound):
        client.models.retrieve("echo/three")
    with pytest.raises(AttributeError, match="did you mean 'list'"):
        client.models.lst()
    with pytest.raises(AttributeError, match="did you mean 'models'"):
        client.model.list()
    with pytest.raises(InvalidRequest, match="unknown argument"):
        client.models.retrieve("echo/one", nothing=1)
    assert {"chat", "models", "vector_stores", "inference"} <= set(dir(client))
    assert {"list", "retrieve", "list_models"} <= set(dir(client.models))
    assert "model_id" in str(inspect.signature(client.models.retrieve))


def test_a_closed_client_stays_closed() -> None:
    client = StackClient.open(GIVEN)
    client.close()
    client.close()
    with pytest.raises(InvalidRequest, match="the client is closed"):
        client.models.list()


async def test_the_same_over_http() -> None:
    async with Stack.open(GIVEN) as stack, serving(stack) as url:
        async with AsyncStackClient(url) as client:
            assert [model.identifier for model in await client.models.list()] == ["echo/one", "echo/two"]
            for _ in range(3):
                await client.chat.completions.create(model="echo/one", messages=HELLO)
            page = await client.chat.completions.list(limit=1)
            assert len([entry async for entry in page]) == 3

        def blocking() -> list[str]:
            with StackClient(url) as plain:
                assert (
                    "".join(
                        chunk.choices[0].delta.content or ""
                        for chunk in plain.chat.completions.create(model="echo/one", messages=HELLO, stream=True)
                    )
                    == "a b c"
                )
                return [model.identifier for model in plain.models.list()]

        assert await asyncio.to_thread(blocking) == ["echo/one", "echo/two"]
