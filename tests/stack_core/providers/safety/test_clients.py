"""The real clients on guards, in process: Llama Stack's and OpenAI's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.transport import in_process_transport
from tests.stack_core.providers.safety.guards import entry, guarded

MAIL = "write to ann@example.org"
CARD = "4111 1111 1111 1111"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    shields = {"pii": {}, "cards": {"provider_shield_id": "card"}}
    async with guarded(tmp_path, entry("inline::rules"), shields, safety={"default_shield_id": "pii"}) as found:
        yield found


@pytest.fixture
async def llama(stack: Stack) -> AsyncIterator[Any]:
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    import httpx

    http_client = httpx.AsyncClient(transport=in_process_transport(stack, httpx))
    async with package.AsyncLlamaStackClient(base_url="http://stack", http_client=http_client, max_retries=0) as found:
        yield found


@pytest.fixture
async def openai(stack: Stack) -> AsyncIterator[Any]:
    package = pytest.importorskip("openai", reason="openai is not installed")
    import httpx2

    http_client = httpx2.AsyncClient(transport=in_process_transport(stack, httpx2))
    async with package.AsyncOpenAI(
        base_url="http://stack/v1", api_key="none", http_client=http_client, max_retries=0
    ) as found:
        yield found


async def test_llama_run_shield(llama: Any) -> None:
    said = [{"role": "user", "content": MAIL}]
    found = (await llama.safety.run_shield(shield_id="pii", messages=said, params={})).violation
    assert (found.violation_level, found.metadata["rules"]) == ("error", ["pii/email"])
    assert (await llama.safety.run_shield(shield_id="cards", messages=said, params={})).violation is None
    with pytest.raises(Exception, match="not found") as unknown:
        await llama.safety.run_shield(shield_id="pi", messages=said, params={})
    assert unknown.value.status_code == 400


async def test_llama_shields(llama: Any) -> None:
    made = await llama.shields.register(shield_id="mine", params={"rules": ["regex:x+", {"pii": "iban"}]})
    assert (made.provider_id, made.params["rules"]) == ("rules", ["regex:x+", {"pii": "iban"}])
    assert [row.identifier for row in await llama.shields.list()] == ["cards", "mine", "pii"]
    found = await llama.safety.run_shield(shield_id="mine", messages=[{"role": "user", "content": "xx"}], params={})
    assert found.violation.metadata["violation_type"] == "regex:x+"
    with pytest.raises(Exception, match="cannot be read") as wrong:
        await llama.shields.register(shield_id="bad", params={"rules": ["regex:("]})
    assert wrong.value.status_code == 400
    await llama.shields.delete("mine")


async def test_llama_moderations(llama: Any) -> None:
    found = await llama.moderations.create(input=["hello", MAIL], model="pii")
    assert [result.flagged for result in found.results] == [False, True]
    assert found.results[1].user_message
    assert found.results[1].metadata["rules"] == ["pii/email"]
    assert found.results[1].category_scores["pii/email"] == 1.0


async def test_openai_moderations(openai: Any) -> None:
    found = await openai.moderations.create(input=["hello", MAIL, CARD], model="card")
    assert [result.flagged for result in found.results] == [False, False, True]
    assert found.model == "card"
    assert found.results[0].categories.harassment_threatening is False
    assert found.results[2].category_scores.violence_graphic == 0.0
    assert found.results[2].category_applied_input_types.hate == []
    default = await openai.moderations.create(input=[{"type": "text", "text": MAIL}])
    assert (default.model, default.results[0].flagged) == ("pii", True)
    with pytest.raises(Exception, match="not found"):
        await openai.moderations.create(input="x", model="omni-moderation-latest")
