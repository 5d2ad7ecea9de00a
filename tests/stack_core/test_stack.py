"""A stack from its run file to its calls, with a third party's provider."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.errors import (
    AccessDenied,
    BudgetReached,
    ConfigError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    StoreUnavailable,
    UnknownProvider,
    Unsupported,
)
from stack_core.providers._planned import PLANNED
from stack_core.storage import kinds

ECHO = {"provider_id": "echo", "provider_type": "inline::echo", "module": "tests.stack_core.echo_provider"}


def run_file(folder: Path, *providers: dict[str, Any], **more: Any) -> dict[str, Any]:
    storage = {
        "backends": {
            "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
            "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
        },
        "stores": {
            "metadata": {"namespace": "registry", "backend": "kv"},
            "inference": {"table_name": "inference_store", "backend": "sql"},
        },
    }
    return {"image_name": "t", "providers": {"inference": list(providers) or [ECHO]}, "storage": storage, **more}


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def test_a_call_goes_through_the_door_and_is_stored(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        answer = await stack.inference.chat_completion(model="echo/one", messages=say("hello there"))
        assert answer.choices[0].message.content == "hello there"
        assert answer.model == "echo/one", "the caller's name of the model, not the service's"
        stored = await stack.inference.get_chat_completion(completion_id=answer.id)
        assert stored.choices[0].message.content == "hello there"
        assert stored.input_messages[0].content == "hello there"


async def test_a_stream_gives_chunks_and_is_stored_whole(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        stream = await stack.inference.chat_completion(model="echo/one", messages=say("a b c"), stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "a b c"
        assert all(c.usage is None and c.choices for c in chunks), "usage was not asked for"
        page = await stack.inference.list_chat_completions()
        assert page.data[0].choices[0].message.content == "a b c"
        assert page.data[0].usage is not None
        assert page.data[0].usage.total_tokens == 6


async def test_usage_comes_last_when_it_was_asked_for(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        stream = await stack.inference.chat_completion(
            model="echo/one", messages=say("a b"), stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices == []
        assert chunks[-1].usage.completion_tokens == 2


async def test_closing_a_stream_early_closes_the_provider_and_stores_nothing(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        stream = await stack.inference.chat_completion(model="echo/one", messages=say("a b c d"), stream=True)
        await anext(stream)
        await stream.aclose()
        assert stack.providers_by_key["inference", "echo"].instance.closed_streams == 1
        assert (await stack.inference.list_chat_completions()).data == []


async def test_store_false_is_honoured(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        await stack.inference.chat_completion(model="echo/one", messages=say("secret"), store=False)
        assert (await stack.inference.list_chat_completions()).data == []


async def test_stored_completions_outlive_the_stack_and_page(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        for index in range(5):
            await stack.inference.chat_completion(model="echo/one", messages=say(f"n{index}"))
    async with Stack.open(run_file(tmp_path)) as stack:
        first = await stack.inference.list_chat_completions(limit=2)
        assert [row.id for row in first.data] == ["chatcmpl-n4", "chatcmpl-n3"]
        assert first.has_more
        rest = await stack.inference.list_chat_completions(after=first.last_id, limit=10)
        assert [row.id for row in rest.data] == ["chatcmpl-n2", "chatcmpl-n1", "chatcmpl-n0"]
        assert not rest.has_more
        with pytest.raises(NotFound):
            await stack.inference.get_chat_completion(completion_id="chatcmpl-none")


async def test_models_are_listed_registered_aliased_and_removed(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        assert [m.identifier for m in (await stack.models.list_models()).data] == ["echo/one", "echo/two"]
        alias = await stack.models.register_model(model_id="fast", provider_model_id="one", provider_id="echo")
        assert (alias.id, alias.provider_resource_id) == ("fast", "one")
        answer = await stack.inference.chat_completion(model="fast", messages=say("hi"))
        assert answer.model == "fast"
    async with Stack.open(run_file(tmp_path)) as stack:
        assert (await stack.models.get_model(model_id="fast")).provider_resource_id == "one"
        await stack.models.unregister_model(model_id="fast")
        with pytest.raises(NotFound):
            await stack.models.get_model(model_id="fast")
        with pytest.raises(InvalidRequest, match="cannot be removed"):
            await stack.models.unregister_model(model_id="echo/one")


async def test_a_registration_of_another_process_is_found(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as one, Stack.open(run_file(tmp_path)) as other:
        await other.models.list_models()
        await one.models.register_model(model_id="fast", provider_model_id="one", provider_id="echo")
        assert (await other.inference.chat_completion(model="fast", messages=say("hi"))).model == "fast"
        assert (await other.models.get_model("fast")).id == "fast"


async def test_a_registration_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        await stack.models.register_model(model_id="fast", provider_model_id="one", provider_id="echo")
    with closing(sqlite3.connect(tmp_path / "kv.db")) as file, file:
        file.execute("INSERT INTO stack_kv SELECT key || '2', '{\"newer\": 1}' FROM stack_kv")
    async with Stack.open(run_file(tmp_path)) as stack:
        listed = [model.id for model in (await stack.models.list_models()).data]
    assert listed == ["fast", "echo/one", "echo/two"]
    assert "fast2 cannot be read" in caplog.text


async def test_a_model_is_got_by_the_name_that_a_call_may_use(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        assert (await stack.models.get_model("one")).identifier == "echo/one"


async def test_an_access_policy_that_is_no_list_has_a_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.auth\.access_policy"):
        async with Stack.open(run_file(tmp_path, server={"auth": {"access_policy": 5}})):
            pass


async def test_a_path_of_a_store_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    file = run_file(tmp_path)
    file["storage"]["backends"]["sql"]["db_path"] = "a\0b"
    with pytest.raises(ConfigError, match=r"backends\.sql\.db_path"):
        async with Stack.open(file):
            pass


async def test_a_bare_name_is_found_where_one_provider_has_it(tmp_path: Path) -> None:
    other = {**ECHO, "provider_id": "other", "config": {"models": ["two", "three"]}}
    async with Stack.open(run_file(tmp_path, ECHO, other)) as stack:
        assert (await stack.inference.chat_completion(model="three", messages=say("x"))).model == "three"
        with pytest.raises(InvalidRequest, match="several providers"):
            await stack.inference.chat_completion(model="two", messages=say("x"))
        with pytest.raises(NotFound) as caught:
            await stack.inference.chat_completion(model="echo/on", messages=say("x"))
        assert (caught.value.id, caught.value.nearest[0]) == ("echo/on", "echo/one")
        with pytest.raises(NotFound) as caught:
            await stack.inference.chat_completion(model="thre", messages=say("x"))
        assert "other/three" in caught.value.nearest


async def test_one_provider_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    broken = {**ECHO, "provider_id": "broken", "config": {"broken": True, "api_key": "sk-secret-123"}}
    async with Stack.open(run_file(tmp_path, ECHO, broken)) as stack:
        assert (await stack.inference.chat_completion(model="echo/one", messages=say("x"))).choices
        with pytest.raises(ProviderUnavailable, match="the echo is broken"):
            await stack.inference.chat_completion(model="broken/one", messages=say("x"))
        listed = {p.provider_id: p for p in (await stack.providers.list_providers()).data}
        assert listed["echo"].health.status == "OK"
        assert listed["broken"].health.status == "Unavailable"
        assert "sk-secret-123" not in listed["broken"].model_dump_json()
        assert [(row.provider_id, row.fix) for row in stack.unavailable] == [("broken", "mend it")]


async def test_a_method_that_the_provider_lacks_is_a_clear_501(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with pytest.raises(Unsupported, match=r"echo does not serve inference\.embeddings"):
            await stack.inference.embeddings(model="echo/one", input="x")


async def test_mistakes_are_reported_together_before_anything_is_built(tmp_path: Path) -> None:
    wrong = {**ECHO, "provider_id": "wrong", "config": {"modles": ["x"], "broken": "perhaps"}}
    typo = {"provider_id": "o", "provider_type": "remote::olama"}
    with pytest.raises(ConfigError) as caught:
        async with Stack.open(run_file(tmp_path, wrong, typo)):
            pass
    text = caught.value.message + (caught.value.hint or "")
    for words in ("2 mistakes", "providers.inference[0].config.modles", "'models'", "providers.inference[1]", "ollama"):
        assert words in text
    assert os.listdir(tmp_path) == []


async def test_an_unknown_type_alone_keeps_its_class_and_place(tmp_path: Path) -> None:
    with pytest.raises(UnknownProvider, match=r"providers\.inference\[0\]"):
        async with Stack.open(run_file(tmp_path, {"provider_type": "remote::olama"})):
            pass


async def test_parts_that_cannot_run_here_are_listed_and_the_rest_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda package: None)
    config = run_file(tmp_path)
    api, planned = min(PLANNED).split("/", 1)
    config["providers"][api] = [{"provider_type": planned}]
    config["storage"]["backends"]["sql"] = {"type": "sql_postgres", "host": "h", "password": "hidden"}
    async with Stack.open(config) as stack:
        assert {row.api for row in stack.unavailable} == {api, "storage"}
        assert "pip install 'llama-magics[postgres]'" in {row.fix for row in stack.unavailable}
        await stack.inference.chat_completion(model="echo/one", messages=say("x"))
        with pytest.raises(Unsupported, match="sql_postgres"):
            await stack.inference.list_chat_completions()


async def test_a_store_that_cannot_be_written_refuses_the_stack(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreUnavailable, match="file"):
        async with Stack.open(run_file(tmp_path / "file")):
            pass


async def test_unset_variables_refuse_the_stack_with_the_fix(tmp_path: Path) -> None:
    config = run_file(tmp_path, {**ECHO, "config": {"api_key": "${env.NO_SUCH_KEY}"}})
    with pytest.raises(
        ConfigError, match=r"providers\.inference\[0\]\.config\.api_key: the variable NO_SUCH_KEY is not set"
    ) as caught:
        async with Stack.open(config):
            pass
    assert caught.value.hint == "export NO_SUCH_KEY=…"


async def test_the_budget_stops_calls_once_it_is_spent(tmp_path: Path) -> None:
    models = [
        {
            "model_id": "dear",
            "provider_id": "echo",
            "provider_model_id": "one",
            "metadata": {"price": {"input": 1e6, "output": 0}},
        }
    ]
    config = run_file(tmp_path, budget={"usd": 5}, registered_resources={"models": models})
    async with Stack.open(config) as stack:
        for _ in range(2):
            await stack.inference.chat_completion(model="dear", messages=say("x"))
        assert stack.spending.usd == pytest.approx(6.0)
        with pytest.raises(BudgetReached, match=r"\$5\.00 is spent"):
            await stack.inference.chat_completion(model="dear", messages=say("x"))
        assert (await stack.models.list_models()).data, "only inference is refused"


async def test_streams_count_against_a_token_budget(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, budget={"tokens": 5})) as stack:
        async for _ in await stack.inference.chat_completion(model="echo/one", messages=say("a b c"), stream=True):
            pass
        with pytest.raises(BudgetReached, match="5 tokens"):
            await stack.inference.chat_completion(model="echo/one", messages=say("x"))


async def test_access_rules_decide_who_may_use_a_model(tmp_path: Path) -> None:
    rules = [
        {"forbid": {"actions": ["read"], "resource": "model::echo/two"}, "unless": "user with admin in roles"},
        {"permit": {"actions": ["read"]}},
    ]
    async with Stack.open(run_file(tmp_path, server={"auth": {"access_policy": rules}})) as stack:
        with context.request_scope(caller=context.User("kim", {"roles": ("reader",)})):
            await stack.inference.chat_completion(model="echo/one", messages=say("x"))
            with pytest.raises(AccessDenied, match="kim may not read model::echo/two"):
                await stack.inference.chat_completion(model="echo/two", messages=say("x"))
            with pytest.raises(AccessDenied, match="create model::fast"):
                await stack.models.register_model(model_id="fast", provider_id="echo", provider_model_id="one")
        with context.request_scope(caller=context.User("root", {"roles": ("admin",)})):
            await stack.inference.chat_completion(model="echo/two", messages=say("x"))


async def test_stored_completions_belong_to_their_caller(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with context.request_scope(caller=context.User("a")):
            mine = await stack.inference.chat_completion(model="echo/one", messages=say("mine"))
        with context.request_scope(caller=context.User("b")):
            assert (await stack.inference.list_chat_completions()).data == []
            with pytest.raises(NotFound):
                await stack.inference.get_chat_completion(completion_id=mine.id)


async def test_an_access_rule_that_cannot_be_read_has_a_place(tmp_path: Path) -> None:
    rules = [{"permit": {}, "when": "the moon is full"}]
    with pytest.raises(ConfigError, match=r"access_policy\[0\]"):
        async with Stack.open(run_file(tmp_path, server={"auth": {"access_policy": rules}})):
            pass


async def test_providers_are_entered_and_left(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        echo = stack.providers_by_key["inference", "echo"].instance
        assert echo.entered
        await stack.inference.chat_completion(model="echo/one", messages=say("kept"))
        assert await echo.store.get("last") == "kept"
    assert not echo.entered


async def test_spans_name_the_model_and_the_trace_is_given_to_who_asked(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        traces: list[str] = []
        token = context.trace_id.set(traces)
        await stack.inference.chat_completion(model="echo/one", messages=say("x"))
        context.trace_id.reset(token)
        assert len(traces) == 1
        assert len(traces[0]) == 32


async def test_about_answers(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        assert (await stack.inspect.health()).status == "OK"
        assert (await stack.inspect.version()).version
        routes = {(row.method, row.route): row.provider_types for row in (await stack.inspect.list_routes()).data}
        assert routes["POST", "/v1/chat/completions"] == ["inline::echo"]
        with pytest.raises(NotFound, match="ecko") as caught:
            await stack.providers.inspect_provider(provider_id="ecko")
        assert caught.value.nearest == ["echo"]


async def test_sections_without_effect_are_said(tmp_path: Path) -> None:
    config = run_file(tmp_path, safety={"default_shield_id": None, "excluded": ["x"]})
    config["registered_resources"] = {"models": [], "prompts": [{"prompt_id": "p"}]}
    async with Stack.open(config) as stack:
        assert {row.provider_id for row in stack.unavailable} == {"safety", "registered_resources.prompts"}


async def test_log_levels_are_set_and_checked(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, logging={"routers": "debug"})):
        assert logging.getLogger("stack_core.routers").level == logging.DEBUG
    logging.getLogger("stack_core.routers").setLevel(logging.NOTSET)
    with pytest.raises(ConfigError, match=r"logging\.all.*loud"):
        async with Stack.open(run_file(tmp_path, logging={"all": "loud"})):
            pass


async def test_a_switched_off_provider_says_what_switches_it_on(tmp_path: Path) -> None:
    off = {**ECHO, "provider_id": "${env.NO_SUCH_VARIABLE:+moon}"}
    models = [{"model_id": "smart", "provider_id": "moon", "provider_model_id": "one"}]
    async with Stack.open(run_file(tmp_path, ECHO, off, registered_resources={"models": models})) as stack:
        for name in ("smart", "moon/one"):
            with pytest.raises(ProviderUnavailable, match="moon is switched off: NO_SUCH_VARIABLE is not set"):
                await stack.inference.chat_completion(model=name, messages=say("x"))


async def test_a_filter_that_the_list_does_not_have_is_refused(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with pytest.raises(InvalidRequest, match="owner"):
            await stack.inference.list_chat_completions(owner="ann")


async def test_a_completion_whose_question_had_a_null_can_be_read(tmp_path: Path) -> None:
    """What is None is not stored: the older form of a tool's result has its content all the same."""
    async with Stack.open(run_file(tmp_path)) as stack:
        result = {"role": "function", "name": "f", "content": None}
        await stack.inference.chat_completion(model="echo/one", messages=[result, *say("x")])
        page = await stack.inference.list_chat_completions()
        assert page.data[0].input_messages[0].content is None
