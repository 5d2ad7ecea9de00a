"""`stack.client`: Llama Stack's names on the stack of this kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llama_magics.client import Client
from llama_magics.session import Session
from llama_magics.verbs.trace import trace
from stack_core.errors import NotFound

ECHO = {"provider_id": "echo", "provider_type": "inline::echo", "module": "tests.stack_core.echo_provider"}
STORAGE = {
    "backends": {
        "kv": {"type": "kv_sqlite", "db_path": ":memory:"},
        "sql": {"type": "sql_sqlite", "db_path": ":memory:"},
    },
    "stores": {"inference": {"table_name": "inference_store", "backend": "sql"}},
}
HELLO = [{"role": "user", "content": "a b c"}]


@pytest.fixture
def client() -> Iterator[Client]:
    session = Session()
    session.open({"name": "t", "providers": {"inference": [ECHO]}})
    yield Client(session)
    session.close()


def test_calls_by_llama_stack_s_names(client: Any) -> None:
    answer = client.chat.completions.create(model="echo/one", messages=HELLO)
    assert answer.choices[0].message.content == "a b c"
    assert [model.identifier for model in client.models.list()] == ["echo/one", "echo/two"]
    assert client.models.retrieve("echo/one").provider_id == "echo"
    assert client.chat.completions.retrieve(answer.id).id == answer.id
    assert client.inspect.health().status == "OK"
    assert "echo" in [provider.provider_id for provider in client.providers.list()]


def test_a_stream_comes_item_by_item_and_may_be_left(client: Any) -> None:
    stream = client.chat.completions.create(model="echo/one", messages=HELLO, stream=True)
    assert next(stream).choices[0].delta.content == "a"
    assert next(stream).choices[0].delta.content == " b"
    stream.close()
    provider = client._session.opened().stack.providers_by_key["inference", "echo"].instance
    assert provider.closed_streams == 1
    whole = client.chat.completions.create(model="echo/one", messages=HELLO, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in whole) == "a b c"


def test_methods_have_their_own_names_too(client: Any) -> None:
    assert client.models.list_models().data[0].identifier == "echo/one"
    assert "chat_completion" in dir(client.inference)
    assert {"chat", "models", "inference"} <= set(dir(client))


def test_an_unknown_name_says_the_nearest(client: Any) -> None:
    with pytest.raises(AttributeError, match=r"chat\.completion'.*did you mean 'completions'"):
        _ = client.chat.completion


def test_the_last_calls_and_the_spans_of_one() -> None:
    session = Session()
    session.open({"name": "t", "providers": {"inference": [ECHO]}, "storage": STORAGE})
    assert trace(session).say == "No call yet."
    Client(session).chat.completions.create(model="echo/one", messages=HELLO)
    rows = trace(session).df
    assert list(rows["call"]) == ["chat echo/one"] or list(rows["call"]) == ["chat one"]
    assert list(rows["tokens"]) == ["3 → 3"]
    one = trace(session, rows["id"][0])
    assert one.say.startswith("1 span in")
    assert one.rows[0][3] == "done"
    with pytest.raises(NotFound):
        trace(session, "ffffffff")
    session.close()
