"""Services with their own way to say who calls: IBM, Azure, AWS, Google, Hugging Face, another server behind ours."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from stack_core import errors
from stack_core.apis.inference import ChatCompletionRequest
from stack_core.context import request_scope
from stack_core.providers.inference import _access, _quirks
from stack_core.providers.inference.openai_compatible import OpenAICompatible
from tests.stack_core.providers.inference.service import Asked, Reply, build, service

HELLO = ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hello"}]})


async def plain(asked: Asked, reply: Reply) -> None:
    await reply.json({"choices": [{"message": {"content": "ok"}}], "data": []})


async def test_watsonx_exchanges_its_key_once_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = 3600.0

    async def answer(asked: Asked, reply: Reply) -> None:
        if asked.path != "/token":
            await plain(asked, reply)
            return
        form = parse_qs(asked.body.decode())
        assert form == {"grant_type": ["urn:ibm:params:oauth:grant-type:apikey"], "apikey": ["key"]}
        await reply.json({"access_token": f"t{len(running.asked)}", "expiration": int(time.time() + lives)})

    async with service(answer) as running:
        monkeypatch.setattr(_access, "IAM_URL", f"{running.url}/token")
        async with build("remote::watsonx", url=running.url, api_key="key", project_id="p") as provider:
            await provider.chat_completion(HELLO)
            await provider.chat_completion(HELLO)
        assert [asked.path for asked in running.asked] == ["/token", *["/ml/v1/chat/completions"] * 2]
        assert running.asked[1].target.endswith("?version=2023-10-25")
        assert running.asked[1].json["project_id"] == "p"
        assert {asked.headers["authorization"] for asked in running.asked[1:]} == {"Bearer t1"}
        lives = 30
        async with build("remote::watsonx", url=running.url, api_key="key") as provider:
            await provider.chat_completion(HELLO)
            await provider.chat_completion(HELLO)
        assert [asked.path for asked in running.asked].count("/token") == 3


async def test_watsonx_with_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service(lambda asked, reply: reply.json({"errorMessage": "key wrong"}, 400)) as running:
        monkeypatch.setattr(_access, "IAM_URL", f"{running.url}/token")
        async with build("remote::watsonx", url=running.url, api_key="secret-key") as provider:
            with pytest.raises(errors.ProviderAuthFailed) as caught:
                await provider.chat_completion(HELLO)
            assert "secret-key" not in caught.value.message


async def test_azure_on_both_surfaces() -> None:
    async with service(plain) as running:
        async with build("remote::azure", api_base=running.url, api_key="k", api_version="2024-06-01") as provider:
            await provider.chat_completion(HELLO)
        assert running.asked[0].target == "/openai/v1/chat/completions"
        assert running.asked[0].headers["authorization"] == "Bearer k"
        base = f"{running.url}/openai/deployments/d"
        async with build("remote::azure", api_base=base, api_key="k", api_version="2024-06-01") as provider:
            await provider.chat_completion(HELLO)
        assert running.asked[1].target == "/openai/deployments/d/chat/completions?api-version=2024-06-01"
        assert running.asked[1].headers["api-key"] == "k"
        assert "authorization" not in running.asked[1].headers


async def test_gemini_with_an_oauth_token() -> None:
    async with service(plain) as running:
        async with build("remote::gemini", url=running.url, access_token="oauth", project="p") as provider:
            await provider.chat_completion(HELLO)
        headers = running.asked[0].headers
        assert (headers["authorization"], headers["x-goog-user-project"]) == ("Bearer oauth", "p")
        assert running.asked[0].path == "/v1beta/openai/chat/completions"


async def test_headers_that_are_passed_on() -> None:
    config = {
        "forward_headers": {"team": "X-Team", "auth": "Authorization", "no": "x-no"},
        "extra_blocked_headers": ["X-No"],
    }
    data = {"team": "blue", "auth": "Bearer theirs", "no": "1", "other": "2"}
    async with service(plain) as running:
        async with build("remote::passthrough", url=running.url, **config) as provider:
            with request_scope(data=data):
                await provider.chat_completion(HELLO)
        async with build("remote::passthrough", url=running.url, api_key="own", **config) as provider:
            with request_scope(data=data):
                await provider.chat_completion(HELLO)
        first, second = (asked.headers for asked in running.asked)
    assert (first["x-team"], first["authorization"]) == ("blue", "Bearer theirs")
    assert second["authorization"] == "Bearer own"
    assert "x-no" not in first


async def test_the_address_of_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    state = "running"

    async def answer(asked: Asked, reply: Reply) -> None:
        if asked.path == "/whoami":
            await reply.json({"name": "ann"})
        elif asked.path == "/endpoint/ann/mine":
            await reply.json({"status": {"state": state, "url": running.url if state == "running" else None}})
        else:
            await plain(asked, reply)

    async with service(answer) as running:
        monkeypatch.setattr(_quirks, "HF_ENDPOINTS", f"{running.url}/endpoint")
        monkeypatch.setattr(_quirks, "HF_WHOAMI", f"{running.url}/whoami")
        async with build("remote::hf::endpoint", endpoint_name="mine", api_token="t") as provider:
            await provider.chat_completion(HELLO)
            await provider.chat_completion(HELLO)
        paths = [asked.path for asked in running.asked]
        assert paths == ["/whoami", "/endpoint/ann/mine", *["/v1/chat/completions"] * 2]
        state = "scaledToZero"
        async with build("remote::hf::endpoint", endpoint_name="ann/mine", api_token="t") as provider:
            with pytest.raises(errors.ProviderUnavailable, match="scaledToZero"):
                await provider.chat_completion(HELLO)
        with pytest.raises(errors.ConfigError, match="endpoint_name"):
            await build("remote::hf::endpoint", api_token="t").chat_completion(HELLO)


# ---- AWS --------------------------------------------------------------------------------------------------------


async def test_bedrock_signs_the_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The signature is checked as AWS does it: computed again from what arrived."""
    auth, awsrequest = pytest.importorskip("botocore.auth"), pytest.importorskip("botocore.awsrequest")
    from botocore.credentials import Credentials

    async with service(plain) as running:
        config = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret", "aws_session_token": "session"}
        async with build("remote::bedrock", url=running.url, region_name="eu-west-1", **config) as provider:
            await provider.chat_completion(HELLO)
        [asked] = running.asked
    said = asked.headers["authorization"]
    assert "/eu-west-1/bedrock/aws4_request" in said
    assert asked.headers["x-amz-security-token"] == "session"
    signed = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    arrived = {name: asked.headers[name] for name in signed}
    again = awsrequest.AWSRequest("POST", running.url + asked.target, data=asked.body, headers=arrived)
    again.context["timestamp"] = asked.headers["x-amz-date"]
    signer = auth.SigV4Auth(Credentials("AKID", "secret", "session"), "bedrock", "eu-west-1")
    canonical = signer.canonical_request(again)
    assert said.endswith(f"Signature={signer.signature(signer.string_to_sign(again, canonical), again)}")


async def test_bedrock_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("botocore.auth")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(errors.MissingCredential, match="no AWS credentials"):
        await build("remote::bedrock").chat_completion(HELLO)


async def target_of(provider: OpenAICompatible) -> str:
    return (await provider._upstream.target()).base


async def test_addresses_that_follow_from_the_config() -> None:
    bedrock = build("remote::bedrock", region_name="eu-west-1")
    assert await target_of(bedrock) == "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1"
    vertex: dict[str, Any] = {"project": "p", "access_token": "t"}
    place = "projects/p/locations/us-central1/endpoints/openapi"
    assert await target_of(build("remote::vertexai", **vertex)) == (
        f"https://us-central1-aiplatform.googleapis.com/v1/{place}"
    )
    world = await target_of(build("remote::vertexai", location="global", **vertex))
    assert world == "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi"
    with pytest.raises(errors.ConfigError, match="no project"):
        await target_of(build("remote::vertexai"))
    nim = build("remote::nvidia", url="http://nim.invalid/api", append_api_version=False)
    assert await target_of(nim) == "http://nim.invalid/api"
    with pytest.raises(errors.MissingCredential):
        await target_of(build("remote::nvidia"))


# ---- Google -----------------------------------------------------------------------------------------------------


async def test_vertex_with_default_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("google.auth")
    pytest.importorskip("requests")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    async def answer(asked: Asked, reply: Reply) -> None:
        if asked.path == "/oauth":
            await reply.json({"access_token": "from-google", "expires_in": 3600, "token_type": "Bearer"})
        else:
            await plain(asked, reply)

    async with service(answer) as running:
        account = {"type": "service_account", "client_email": "a@p.invalid", "private_key": pem, "project_id": "p"}
        file = tmp_path / "adc.json"
        file.write_text(json.dumps({**account, "token_uri": f"{running.url}/oauth"}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        async with build("remote::vertexai", url=running.url, project="p") as provider:
            await provider.chat_completion(HELLO)
            await provider.chat_completion(HELLO)
        assert [asked.path for asked in running.asked].count("/oauth") == 1
        assert running.asked[-1].headers["authorization"] == "Bearer from-google"
        assert running.asked[-1].path == "/endpoints/openapi/chat/completions"


async def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(_access, "import_module", absent)
    with pytest.raises(errors.MissingPackage, match="google-auth") as caught:
        await build("remote::vertexai", project="p").chat_completion(HELLO)
    assert caught.value.hint == "pip install 'llama-magics[vertex]'"
    with pytest.raises(errors.MissingPackage, match="botocore"):
        await build("remote::bedrock").chat_completion(HELLO)
