"""What the services behind guards are sent, and how each of them refuses."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from stack_core import context
from stack_core.errors import (
    AccessDenied,
    ConfigError,
    InvalidRequest,
    MissingCredential,
    NotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)
from tests.stack_core.providers.inference.service import Asked, Reply, service
from tests.stack_core.providers.safety.guards import entry, guarded, user, violation
from tests.stack_core.providers.safety.scripted import KEY, REGION, SECRET, answer

BOMB = "how do I make a bomb?"
SIGNED = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION, "total_max_attempts": 1}


async def test_nvidia(tmp_path: Path) -> None:
    async with service(answer) as running:
        guard = entry("remote::nvidia", guardrails_service_url=f"{running.url}/", config_id="mine")
        shields = {"one": {"provider_shield_id": "meta/llama"}, "two": {"params": {"model": "m", "config_id": "c"}}}
        async with guarded(tmp_path, guard, shields) as stack:
            found = await violation(stack, "one", user([{"type": "text", "text": BOMB}]))
            assert found.user_message == "Sorry I cannot do this."
            assert found.metadata["self check input"] == {"status": "blocked"}
            sent = running.asked[-1]
            assert (sent.path, sent.json["model"], sent.json["guardrails"]) == (
                "/v1/guardrail/checks", "meta/llama", {"config_id": "mine"},
            )  # fmt: skip
            assert sent.json["messages"] == [{"role": "user", "content": BOMB}]
            await violation(stack, "two", "hi")
            assert (running.asked[-1].json["model"], running.asked[-1].json["guardrails"]) == ("m", {"config_id": "c"})
            (result,) = (await stack.safety.moderate(model="one", input=BOMB)).results
            assert result.categories["self check input"]


async def test_sambanova(tmp_path: Path) -> None:
    async with service(answer) as running:
        guard = entry("remote::sambanova", url=f"{running.url}/v1")
        shields = {"s": {"provider_shield_id": "sambanova/Meta-Llama-Guard-3-8B"}}
        async with guarded(tmp_path, guard, shields) as stack:
            with pytest.raises(MissingCredential):
                await violation(stack, "s", BOMB)
            with context.request_scope(data={"sambanova_api_key": "of-the-caller"}):
                found = await violation(stack, "s", "hi", {"role": "assistant", "content": BOMB})
            assert found.metadata == {"violation_type": "S9", "categories": ["Indiscriminate Weapons"]}
            sent = running.asked[-1]
            assert (sent.headers["authorization"], sent.json["model"]) == (
                "Bearer of-the-caller", "Meta-Llama-Guard-3-8B",
            )  # fmt: skip
            assert [message["role"] for message in sent.json["messages"]] == ["user", "assistant"]
            with pytest.raises(NotFound) as unknown:
                await stack.shields.register_shield(shield_id="x", provider_shield_id="Meta-Llama-Guard-3-8")
            assert unknown.value.hint == "did you mean Meta-Llama-Guard-3-8B?"


async def test_sambanova_prose_about_unsafe_things_is_no_verdict(tmp_path: Path) -> None:
    async def prose(asked: Asked, reply: Reply) -> None:
        await reply.json({"choices": [{"message": {"content": "Driving is unsafe."}}]})

    async with service(prose) as running:
        guard = entry("remote::sambanova", url=running.url, api_key="k")
        async with guarded(tmp_path, guard, {"s": {}}) as stack:
            with pytest.raises(ProviderError, match="neither safe nor unsafe"):
                await violation(stack, "s", "hi")


async def test_passthrough(tmp_path: Path) -> None:
    forward = {"tenant": "X-Tenant", "auth": "Authorization", "evil": "X-Blocked"}
    async with service(answer) as running:
        guard = entry(
            "remote::passthrough", base_url=f"{running.url}/v1", forward_headers=forward,
            extra_blocked_headers=["x-blocked"],
        )  # fmt: skip
        async with guarded(tmp_path, guard, {"s": {"provider_shield_id": "omni"}}) as stack:
            data = {"tenant": "blue\r\nx-other: 1", "auth": "Bearer theirs", "evil": "1", "unnamed": "2"}
            with context.request_scope(data=data):
                found = await stack.safety.moderate(model="s", input=["a", BOMB])
            assert [(r.flagged, r.category_scores["violence"]) for r in found.results] == [(False, 0.01), (True, 0.75)]
            sent = running.asked[-1]
            assert sent.json == {"input": ["a", BOMB], "model": "omni"}
            assert (sent.headers["x-tenant"], sent.headers["authorization"]) == ("bluex-other: 1", "Bearer theirs")
            assert not {"x-blocked", "x-other", "unnamed"} & sent.headers.keys()
            with context.request_scope(data={"passthrough_api_key": "key"}):
                assert (await violation(stack, "s", "hi", BOMB)).metadata["violation_type"] == "violence"
            assert running.asked[-1].headers["authorization"] == "Bearer key"


async def test_passthrough_its_own_key_wins_and_is_not_shown(tmp_path: Path) -> None:
    async def echo(asked: Asked, reply: Reply) -> None:
        await reply.json({"error": {"message": f"bad key {asked.headers['authorization']}"}}, 401)

    async with service(echo) as running:
        guard = entry(
            "remote::passthrough", base_url=running.url, api_key="static-key", forward_headers={"a": "Authorization"}
        )
        async with guarded(tmp_path, guard, {"s": {}}) as stack:
            with context.request_scope(data={"a": "Bearer theirs"}), pytest.raises(ProviderAuthFailed) as refused:
                await violation(stack, "s", "hi")
            assert "static-key" not in str(refused.value)
            assert running.asked[-1].headers["authorization"] == "Bearer static-key"


@pytest.mark.parametrize("header", ["Host", "content-length", "Cookie", "X-Forwarded-For"])
async def test_passthrough_refuses_headers_of_the_connection(tmp_path: Path, header: str) -> None:
    guard = entry("remote::passthrough", base_url="http://127.0.0.1:1", forward_headers={"a": header})
    with pytest.raises(ConfigError, match="cannot be forwarded"):
        async with guarded(tmp_path, guard, {}):
            pass


async def test_passthrough_a_short_list_is_an_error(tmp_path: Path) -> None:
    async def short(asked: Asked, reply: Reply) -> None:
        await reply.json({"results": [{"flagged": False, "categories": {}, "category_scores": {}}]})

    async with service(short) as running:
        async with guarded(tmp_path, entry("remote::passthrough", base_url=running.url), {"s": {}}) as stack:
            with pytest.raises(ProviderError, match="1 results for 2 inputs"):
                await stack.safety.moderate(model="s", input=["a", "b"])


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Send Bedrock's calls to an address."""

    def point(url: str) -> None:
        for name in ("BEDROCK", "BEDROCK_RUNTIME"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", url)

    return point


async def test_bedrock(tmp_path: Path, endpoint: Any) -> None:
    shields = {"s": {"provider_shield_id": "gr-1", "params": {"guardrailVersion": "1"}}, "none": {}}
    async with service(answer) as running:
        endpoint(running.url)
        async with guarded(tmp_path, entry("remote::bedrock", **SIGNED), shields) as stack:
            found = await violation(stack, "s", BOMB)
            assert (found.user_message, found.metadata["violation_type"]) == ("Not about that.", "weapons,NAME")
            assert "a secret" not in found.model_dump_json()
            sent = running.asked[-1]
            assert (sent.path, sent.json) == (
                "/guardrail/gr-1/version/1/apply", {"source": "INPUT", "content": [{"text": {"text": BOMB}}]},
            )  # fmt: skip
            await violation(stack, "s", "hi", {"role": "assistant", "content": BOMB})
            assert running.asked[-1].json["source"] == "OUTPUT"
            picture = base64.b64encode(b"png").decode()
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
            await violation(stack, "s", user([image]))
            assert running.asked[-1].json["content"] == [{"image": {"format": "png", "source": {"bytes": picture}}}]
            with pytest.raises(InvalidRequest, match="PNG and JPEG"):
                await violation(stack, "s", user([{"type": "image_url", "image_url": {"url": "http://x.org/a.png"}}]))
            with pytest.raises(NotFound, match="guardrail"):
                await violation(stack, "none", "hi")
            await stack.shields.register_shield(
                shield_id="x", provider_shield_id="gr-1", params={"guardrailVersion": "1"}
            )
            with pytest.raises(NotFound) as unknown:
                await stack.shields.register_shield(
                    shield_id="y", provider_shield_id="gr-1", params={"guardrailVersion": "7"}
                )
            assert unknown.value.hint == "there is DRAFT, 1"


async def test_bedrock_refuses(tmp_path: Path, endpoint: Any) -> None:
    async with service(answer) as running:
        endpoint(running.url)
        wrong = {**SIGNED, "aws_secret_access_key": "another", "allowed_models": ["gr-1"]}
        async with guarded(tmp_path, entry("remote::bedrock", **wrong), {"gr-1": {}, "gr-2": {}}) as stack:
            with pytest.raises(ProviderAuthFailed):
                await violation(stack, "gr-1", "hi")
            with pytest.raises(AccessDenied, match="gr-2"):
                await violation(stack, "gr-2", "hi")

            async def slow(asked: Asked, reply: Reply) -> None:
                await reply.json({"message": "slow down"}, 429, **{"x-amzn-errortype": "ThrottlingException"})

            running.handler = slow
            with pytest.raises(RateLimited):
                await violation(stack, "gr-1", "hi")
        address = running.url
    endpoint(address)
    async with guarded(tmp_path, entry("remote::bedrock", **SIGNED), {"gr-1": {}}) as stack:
        with pytest.raises(ProviderUnavailable):
            await violation(stack, "gr-1", "hi")
