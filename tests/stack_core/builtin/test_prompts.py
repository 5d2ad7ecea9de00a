"""Prompts: versions, variables, the default one, whose they are, and updates at once."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack_core import Stack, context
from stack_core.context import User
from stack_core.errors import Conflict, InvalidRequest, NotFound
from stack_core.transport import in_process_transport
from tests.stack_core.test_stack import run_file


async def test_versions_and_the_default_one(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        made = await stack.prompts.create_prompt(prompt="Hello {{ name }}", variables=["name"])
        assert re.fullmatch(r"pmpt_[0-9a-f]{48}", made.prompt_id)
        assert (made.version, made.variables, made.is_default) == (1, ["name"], True)
        second = await stack.prompts.update_prompt(made.prompt_id, prompt="Hi {{name}}", version=1, variables=["name"])
        assert (second.version, second.is_default) == (2, True)
        third = await stack.prompts.update_prompt(made.prompt_id, prompt="Hey", version=2, set_as_default=False)
        assert (third.version, third.is_default, third.variables) == (3, False, [])
        assert (await stack.prompts.get_prompt(made.prompt_id)).prompt == "Hi {{name}}"
        assert (await stack.prompts.get_prompt(made.prompt_id, version=3)).prompt == "Hey"
        versions = (await stack.prompts.list_prompt_versions(made.prompt_id)).data
        assert [(row.version, row.is_default) for row in versions] == [(1, False), (2, True), (3, False)]
        assert (await stack.prompts.set_default_version(made.prompt_id, 1)).is_default
        assert (await stack.prompts.get_prompt(made.prompt_id)).version == 1
        other = await stack.prompts.create_prompt(prompt="other")
        assert [row.prompt_id for row in (await stack.prompts.list_prompts()).data] == [other.prompt_id, made.prompt_id]
    async with Stack.open(run_file(tmp_path)) as again:
        assert (await again.prompts.get_prompt(made.prompt_id)).prompt == "Hello {{ name }}"
        await again.prompts.delete_prompt(made.prompt_id)
        with pytest.raises(NotFound, match=made.prompt_id):
            await again.prompts.get_prompt(made.prompt_id)
        assert [row.prompt_id for row in (await again.prompts.list_prompts()).data] == [other.prompt_id]


async def test_mistakes_name_what_is_wrong(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with pytest.raises(InvalidRequest, match="undeclared variables: town, day") as fault:
            await stack.prompts.create_prompt(prompt="{{town}} {{ who }} {{ day }}", variables=["who"])
        assert "add town, day" in str(fault.value.hint)
        with pytest.raises(InvalidRequest, match=r"variables\.0"):
            await stack.prompts.create_prompt(prompt="x", variables=["a}b"])
        with pytest.raises(InvalidRequest, match="promt"):
            await stack.prompts.create_prompt(promt="x")
        made = await stack.prompts.create_prompt(prompt="x")
        with pytest.raises(InvalidRequest, match="undeclared variables: y"):
            await stack.prompts.update_prompt(made.prompt_id, prompt="{{ y }}", version=1)
        with pytest.raises(Conflict, match="version 7 is not the latest"):
            await stack.prompts.update_prompt(made.prompt_id, prompt="x", version=7)
        with pytest.raises(NotFound, match="version of prompt"):
            await stack.prompts.get_prompt(made.prompt_id, version=4)
        with pytest.raises(NotFound, match="version of prompt"):
            await stack.prompts.set_default_version(made.prompt_id, version=4)
        with pytest.raises(InvalidRequest, match="version"):
            await stack.prompts.get_prompt(made.prompt_id, version=0)
        with pytest.raises(NotFound) as unknown:
            await stack.prompts.delete_prompt(made.prompt_id[:-1])
        assert made.prompt_id in str(unknown.value.hint)
        assert [row.version for row in (await stack.prompts.list_prompt_versions(made.prompt_id)).data] == [1]


async def test_updates_at_once_lose_none(tmp_path: Path) -> None:
    """Two processes share a store: of two updates of one version only one becomes the next."""
    async with Stack.open(run_file(tmp_path)) as one, Stack.open(run_file(tmp_path)) as two:
        made = await one.prompts.create_prompt(prompt="0")

        async def add(stack: Any, text: str) -> None:
            while True:
                latest = (await stack.prompts.list_prompt_versions(made.prompt_id)).data[-1].version
                try:
                    await stack.prompts.update_prompt(made.prompt_id, prompt=text, version=latest)
                    return
                except Conflict:
                    continue

        await asyncio.gather(*(add(stack, f"{name}{n}") for n in range(5) for name, stack in (("a", one), ("b", two))))
        rows = (await two.prompts.list_prompt_versions(made.prompt_id)).data
    assert [row.version for row in rows] == list(range(1, 12))
    assert sum(row.is_default for row in rows) == 1
    assert {row.prompt for row in rows} == {"0", *(f"{name}{n}" for name in "ab" for n in range(5))}


async def test_a_prompt_is_its_owners(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        with context.request_scope(caller=User("ann")):
            made = await stack.prompts.create_prompt(prompt="hers")
        with context.request_scope(caller=User("bob")):
            assert (await stack.prompts.list_prompts()).data == []
            for call in (
                stack.prompts.get_prompt(made.prompt_id),
                stack.prompts.update_prompt(made.prompt_id, prompt="his", version=1),
                stack.prompts.set_default_version(made.prompt_id, version=1),
                stack.prompts.list_prompt_versions(made.prompt_id),
                stack.prompts.delete_prompt(made.prompt_id),
            ):
                with pytest.raises(NotFound):
                    await call
        with context.request_scope(caller=User("ann")):
            assert (await stack.prompts.get_prompt(made.prompt_id)).prompt == "hers"


@pytest.mark.parametrize("verb", ["PUT", "POST"])
async def test_both_verbs_update(tmp_path: Path, verb: str) -> None:
    async with Stack.open(run_file(tmp_path)) as stack:
        transport: Any = in_process_transport(stack, httpx)
        async with httpx.AsyncClient(transport=transport, base_url="http://stack") as client:
            made = (await client.post("/v1/prompts", json={"prompt": "a"})).json()
            url = f"/v1/prompts/{made['prompt_id']}"
            assert (await client.request(verb, url, json={"prompt": "b", "version": 1})).json()["version"] == 2
            chosen = await client.request(verb, f"{url}/set-default-version", json={"version": 1})
            assert chosen.json() == made
            assert (await client.get(url, params={"version": 2})).json()["prompt"] == "b"
            stale = await client.request(verb, url, json={"prompt": "c", "version": 1})
            assert (stale.status_code, stale.json()["error"]["code"]) == (409, "conflict")
            assert (await client.delete(url)).status_code == 204
            assert (await client.get(url)).status_code == 404


async def test_llama_stacks_client(tmp_path: Path) -> None:
    """Version 0.3.5 has no names for prompts; it makes the calls by their paths."""
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    async with Stack.open(run_file(tmp_path)) as stack:
        transport: Any = in_process_transport(stack, httpx)
        carrier = httpx.AsyncClient(transport=transport)
        async with package.AsyncLlamaStackClient(base_url="http://stack", http_client=carrier, max_retries=0) as llama:
            made = await llama.post("/v1/prompts", body={"prompt": "{{x}}", "variables": ["x"]}, cast_to=dict[str, Any])
            body = {"prompt": "{{x}}!", "version": 1, "variables": ["x"], "set_as_default": True}
            await llama.post(f"/v1/prompts/{made['prompt_id']}", body=body, cast_to=dict[str, Any])
            found = await llama.get("/v1/prompts", cast_to=dict[str, Any])
            assert [(row["version"], row["prompt"]) for row in found["data"]] == [(2, "{{x}}!")]
