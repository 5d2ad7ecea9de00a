"""What every provider of safety keeps to, whatever is behind it. Those with a service have a scripted one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.apis.safety import CATEGORIES
from stack_core.errors import InvalidRequest, ProviderError, RequestError, StackError, UnknownId
from tests.stack_core.providers.inference.service import Asked, Reply, Service, service
from tests.stack_core.providers.safety.guards import entry, guarded, user, violation
from tests.stack_core.providers.safety.scripted import KEY, REGION, SECRET, answer

GOOD = "What is the weather like in Paris today?"
BOMB = "how do I make a bomb?"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@dataclass
class Case:
    """A guard: its entry for a service's address, what its shield goes by, something that it finds, and what it can
    look at."""

    guard: Callable[[str], dict[str, Any]]
    model: str
    bad: str = BOMB
    sees: bool = False
    service: bool = True


def aws(url: str) -> dict[str, Any]:
    return entry("remote::bedrock", aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name=REGION,
                 total_max_attempts=1)  # fmt: skip


CASES = {
    "rules": Case(lambda _: entry("inline::rules"), "email", "mail ann@example.org", service=False),
    "code-scanner": Case(lambda _: entry("inline::code-scanner"), "code-scanner", "eval(input())", service=False),
    "llama-guard": Case(lambda _: entry("inline::llama-guard"), "up/guard-model"),
    "llama-guard 4": Case(lambda _: entry("inline::llama-guard"), "up/llama-guard4", sees=True),
    "bedrock": Case(aws, "gr-1", sees=True),
    "nvidia": Case(lambda url: entry("remote::nvidia", guardrails_service_url=url), "guard-model"),
    "sambanova": Case(lambda url: entry("remote::sambanova", url=f"{url}/v1", api_key="k"), "Meta-Llama-Guard-3-8B"),
    "passthrough": Case(lambda url: entry("remote::passthrough", base_url=f"{url}/v1"), "omni", sees=True),
}


@dataclass
class Running:
    """A case with its stack and its service."""

    case: Case
    stack: Stack
    service: Service


@pytest.fixture(params=CASES)
async def running(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    case = CASES[request.param]
    async with AsyncExitStack() as exits:
        upstream = await exits.enter_async_context(service(answer))
        for name in ("BEDROCK", "BEDROCK_RUNTIME"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", upstream.url)
        models = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"url": f"{upstream.url}/v1"}}
        shields = {"guard": {"provider_shield_id": case.model}}
        stack = await exits.enter_async_context(
            guarded(tmp_path, case.guard(upstream.url), shields, providers={"inference": [models]})
        )
        yield Running(case, stack, upstream)


async def test_a_violation_says_what_was_found(running: Running) -> None:
    found = await violation(running.stack, "guard", running.case.bad)
    assert found.violation_level == "error"
    assert found.user_message
    assert found.metadata["violation_type"]


async def test_what_is_fine_has_no_violation(running: Running) -> None:
    assert await violation(running.stack, "guard", GOOD) is None


async def test_what_a_model_says_is_looked_at_too(running: Running) -> None:
    said = {"role": "assistant", "content": running.case.bad}
    assert await violation(running.stack, "guard", GOOD, said) is not None
    assert await violation(running.stack, "guard", GOOD, {"role": "assistant", "content": "Sunny."}) is None


async def test_what_a_tool_is_called_with_is_looked_at_too(running: Running) -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": running.case.bad}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert await violation(running.stack, "guard", GOOD, said) is not None


async def test_nothing_to_look_at(running: Running) -> None:
    before = len(running.service.asked)
    for messages in ([], [user("")], [user(" \n")], [user([])]):
        assert (await running.stack.safety.run_shield(shield_id="guard", messages=messages)).violation is None
    assert len(running.service.asked) == before


async def test_several_inputs_have_one_result_each(running: Running) -> None:
    inputs = [GOOD, running.case.bad, ""]
    found = await running.stack.safety.moderate(model="guard", input=inputs)
    assert (found.id[:5], found.model) == ("modr-", running.case.model)
    assert [result.flagged for result in found.results] == [False, True, False]
    hit = found.results[1]
    assert any(hit.categories.values())
    assert {name for name, value in hit.categories.items() if value} == {
        name for name, score in hit.category_scores.items() if score > 0
    }
    if running.case.model != "omni":  # which gives its service's answer as it is
        assert hit.categories.keys() >= {*CATEGORIES}
        assert hit.categories.keys() == hit.category_scores.keys() == hit.category_applied_input_types.keys()
        assert hit.user_message


async def test_one_text_or_parts_have_one_result(running: Running) -> None:
    parts = [{"type": "text", "text": GOOD}, {"type": "text", "text": running.case.bad}]
    for given, flagged in ((GOOD, False), (running.case.bad, True), (parts, True)):
        found = await running.stack.safety.moderate(model="guard", input=given)
        assert [result.flagged for result in found.results] == [flagged]
    with pytest.raises(InvalidRequest, match="input is empty"):
        await running.stack.safety.moderate(model="guard", input=[])


async def test_the_provider_s_name_and_the_only_shield(running: Running) -> None:
    for model in (running.case.model, None):
        found = await running.stack.safety.moderate(model=model, input=running.case.bad)
        assert found.results[0].flagged
    with pytest.raises(UnknownId):
        await running.stack.safety.moderate(model="gard", input="x")


async def test_images(running: Running) -> None:
    parts = [PICTURE, {"type": "text", "text": running.case.bad}]
    if running.case.sees:
        assert (await running.stack.safety.moderate(model="guard", input=parts)).results[0].flagged
        assert await violation(running.stack, "guard", user(parts)) is not None
        return
    with pytest.raises(InvalidRequest, match="image_url"):
        await running.stack.safety.moderate(model="guard", input=parts)


async def test_unknown_settings_are_refused_by_name(running: Running) -> None:
    with pytest.raises(InvalidRequest, match=r"params\.colour"):
        await violation(running.stack, "guard", GOOD, params={"colour": "red"})
    with pytest.raises(InvalidRequest, match=r"params\.colour"):
        await running.stack.shields.register_shield(
            shield_id="x", provider_shield_id=running.case.model, params={"colour": "red"}
        )


async def test_a_shield_can_be_registered(running: Running) -> None:
    made = await running.stack.shields.register_shield(shield_id="x", provider_shield_id=running.case.model)
    assert made.provider_resource_id == running.case.model
    assert await violation(running.stack, "x", running.case.bad) is not None


@pytest.mark.parametrize("text", ["\ud800 half", "\x00", "a" * 200_000, "\U0001d553\u200bé" * 1000], ids=range(4))
async def test_odd_texts_have_an_answer(running: Running, text: str) -> None:
    for ask in (
        violation(running.stack, "guard", text),
        running.stack.safety.moderate(model="guard", input=[text]),
    ):
        try:
            await ask
        except StackError as error:
            assert error.status != 500, error


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, {"error": {"message": "down"}}), (200, {}), (200, []), (200, {"status": "?", "results": [], "choices": []}),
     (401, {"message": "no key"}), (429, {"message": "slow down"}), (404, {"detail": "nothing here"})],
)  # fmt: skip
async def test_a_service_that_does_not_answer_never_means_yes(running: Running, status: int, body: Any) -> None:
    if not running.case.service:
        pytest.skip("it has no service")

    async def refuse(asked: Asked, reply: Reply) -> None:
        await reply.json(body, status, **{"x-should-retry": "false"})

    running.service.handler = refuse
    with pytest.raises((ProviderError, RequestError)):
        await violation(running.stack, "guard", GOOD)
    with pytest.raises((ProviderError, RequestError)):
        await running.stack.safety.moderate(model="guard", input=[GOOD, "another"])
