"""Guardrails of Amazon Bedrock."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import (
    AccessDenied,
    InvalidRequest,
    NotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StackError,
)
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, model_of
from stack_core.providers.safety._texts import images_of, text_of

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_KINDS: dict[str, type[ProviderError]] = {
    "ThrottlingException": RateLimited,
    "ServiceQuotaExceededException": RateLimited,
    "AccessDeniedException": ProviderAuthFailed,
    "UnrecognizedClientException": ProviderAuthFailed,
    "InvalidSignatureException": ProviderAuthFailed,
    "ExpiredTokenException": ProviderAuthFailed,
    "ServiceUnavailableException": ProviderUnavailable,
    "InternalServerException": ProviderUnavailable,
}
_DATA_URL = re.compile(r"data:image/(png|jpe?g);base64,(.*)", re.DOTALL)
_HITS = ("topics", "filters", "customWords", "managedWordLists", "piiEntities", "regexes")


class BedrockConfig(BaseModel):
    """Fields of Llama Stack 0.3.5. Without a key botocore finds one itself: environment, profile, role."""

    model_config = ConfigDict(extra="forbid")
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    region_name: str | None = None
    profile_name: str | None = None
    total_max_attempts: int | None = Field(None, ge=1)
    retry_mode: Literal["standard", "adaptive", "legacy"] | None = None
    connect_timeout: float | None = Field(60.0, gt=0)
    read_timeout: float | None = Field(60.0, gt=0)
    session_ttl: int | None = Field(3600, ge=1, description="Seconds after which the key is looked up anew.")
    allowed_models: list[str] | None = Field(None, description="The only guardrails that may be used, by id.")
    refresh_models: bool = Field(False, description="Of the models' list, which guardrails do not have.")


class BedrockParams(Strict):
    """What a shield may say."""

    guardrailVersion: str = Field("DRAFT", description="A number, or DRAFT.")
    guardrailIdentifier: str | None = Field(None, description="The guardrail; the shield's own name where left out.")
    source: Literal["INPUT", "OUTPUT"] | None = Field(
        None, description="Whose policies count; by the last message's role where left out."
    )


@provider("remote::bedrock", packages=("botocore",), extra="bedrock")
class BedrockGuardrails(Guard[BedrockParams]):
    """Applies a guardrail to the last message; the shield goes by the guardrail's id."""

    Config = BedrockConfig
    Params = BedrockParams
    sees = frozenset({"image_url"})

    def __init__(self, config: BedrockConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))
        self._config = config
        self._made: dict[str, tuple[float, Any]] = {}

    async def check_shield(self, shield: Shield) -> None:
        """Refuse a guardrail, or a version of one, that the account does not have."""
        params = self.params_of(shield, None)
        guardrail = self._guardrail(shield, params)
        answer = await self._call("bedrock", "list_guardrails", guardrailIdentifier=guardrail)
        versions = [str(row.get("version")) for row in answer.get("guardrails", [])]
        if params.guardrailVersion not in versions:
            raise NotFound(f"version of the guardrail {guardrail}", params.guardrailVersion, versions)

    async def judge(self, shield: Shield, params: BedrockParams, messages: Sequence[Message]) -> Verdict | None:
        """What the guardrail finds in the last message."""
        last = messages[-1]
        text = text_of(last)
        content = ([{"text": {"text": text}}] if text.strip() else []) + [_image(url) for url in images_of(last)]
        if not content:
            return None
        answer = await self._call(
            "bedrock-runtime",
            "apply_guardrail",
            guardrailIdentifier=self._guardrail(shield, params),
            guardrailVersion=params.guardrailVersion,
            source=params.source or ("OUTPUT" if last.role == "assistant" else "INPUT"),
            content=content,
        )
        if answer.get("action") == "NONE":
            return None
        if answer.get("action") != "GUARDRAIL_INTERVENED":
            raise self._unreadable(f"its action is {answer.get('action')!r}")
        return verdict_of(answer)

    def _guardrail(self, shield: Shield, params: BedrockParams) -> str:
        name, allowed = params.guardrailIdentifier or model_of(shield), self._config.allowed_models
        if allowed is not None and name not in allowed:
            raise AccessDenied(f"{self.provider_id} may not use the guardrail {name!r}", "see its allowed_models")
        return name

    async def _call(self, service: str, method: str, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = await asyncio.to_thread(self._client, service)
            found: dict[str, Any] = await asyncio.to_thread(getattr(client, method), **arguments)
        except ClientError as error:
            raise self._refused(error) from error
        except BotoCoreError as error:
            raise self._failed(error) from error
        except (AttributeError, KeyError, TypeError) as error:  # botocore, of a body that is not what it expects
            raise self._unreadable("it has another shape") from error
        return found

    def _client(self, service: str) -> Any:
        """The client of one of the two services, made anew where its key may be out of date."""
        from botocore.config import Config
        from botocore.session import Session

        ends, made = self._made.get(service, (0.0, None))
        if made is not None and time.monotonic() < ends:
            return made
        config = self._config
        secrets = (config.aws_access_key_id, config.aws_secret_access_key, config.aws_session_token)
        key, secret, token = [(one and one.get_secret_value()) or None for one in secrets]
        retries = {"total_max_attempts": config.total_max_attempts, "mode": config.retry_mode}
        settings = Config(
            connect_timeout=config.connect_timeout or 60.0,
            read_timeout=config.read_timeout or 60.0,
            retries={name: value for name, value in retries.items() if value is not None},  # type: ignore[arg-type]  # its keys are named
        )
        session = Session(profile=config.profile_name or None)
        if key and secret:
            session.set_credentials(key, secret, token)
        made = session.create_client(service, region_name=config.region_name or None, config=settings)
        self._made[service] = (time.monotonic() + (config.session_ttl or 3600), made)
        return made

    def _refused(self, error: ClientError) -> StackError:
        """The error for an answer of the service."""
        said = error.response.get("Error", {})
        code, words = str(said.get("Code", "")), f"{self.provider_id}: {said.get('Message') or error}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code == "ResourceNotFoundException":
            return NotFound("guardrail", "", hint=words)
        if code == "ValidationException":
            return InvalidRequest(words)
        kind = _KINDS.get(code, ProviderError)
        return kind(words, provider_id=self.provider_id, upstream_status=status)

    def _unreadable(self, what: str) -> ProviderError:
        return ProviderError(
            f"{self.provider_id} gave an answer that cannot be read: {what}", provider_id=self.provider_id
        )

    def _failed(self, error: BotoCoreError) -> StackError:
        """The error for a call that had no answer."""
        from botocore.exceptions import (
            ConnectTimeoutError,
            NoCredentialsError,
            NoRegionError,
            ParamValidationError,
            ReadTimeoutError,
        )

        words = f"{self.provider_id}: {error}"
        if isinstance(error, NoCredentialsError):
            hint = "set aws_access_key_id and aws_secret_access_key"
            return ProviderAuthFailed(words, hint, provider_id=self.provider_id)
        if isinstance(error, NoRegionError):
            return InvalidRequest(words, "set region_name, or the variable AWS_DEFAULT_REGION")
        if isinstance(error, ParamValidationError):
            return InvalidRequest(words)
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return ProviderTimeout(words, provider_id=self.provider_id)
        return ProviderUnavailable(words, "check the region and the network", provider_id=self.provider_id)


def verdict_of(answer: dict[str, Any]) -> Verdict:
    """The verdict of a guardrail that stepped in: its assessments, without the words that they matched."""
    metadata: dict[str, Any] = {}
    for assessment in answer.get("assessments") or []:
        metadata |= {name: _told(policy) for name, policy in assessment.items()}
    names: dict[str, float] = {}
    for policy in metadata.values():
        for rows in (policy.get(kind) or [] for kind in _HITS if isinstance(policy, dict)):
            names |= {str(row.get("name") or row.get("type")): 1.0 for row in rows if row.get("action") != "NONE"}
    said = [str(output.get("text")) for output in answer.get("outputs") or [] if output.get("text")]
    message = said[-1] if said else "Sorry, the guardrail blocked this."
    return Verdict(message, {"violation_type": ",".join(names), **metadata}, names)


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _told(item) for name, item in value.items() if name != "match"}
    return [_told(item) for item in value] if isinstance(value, list) else value


def _image(url: str) -> dict[str, Any]:
    """An image as the service takes it.

    Raises:
        InvalidRequest: it is not given with its content, or is neither PNG nor JPEG.
    """
    match = _DATA_URL.fullmatch(url)
    try:
        content = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        content = b""
    if match is None or not content:
        raise InvalidRequest("a guardrail looks at PNG and JPEG images in data: URLs", "fetch the image and encode it")
    return {"image": {"format": "png" if match[1] == "png" else "jpeg", "source": {"bytes": content}}}
