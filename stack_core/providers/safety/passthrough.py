"""Another service of moderations behind ours, such as OpenAI's or a second stack. Fields: OGX 0.8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from stack_core import context
from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.safety import Moderation, ModerationRequest, ModerationResult
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import ConfigError
from stack_core.http import Network
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, messages_of, model_of, moderation
from stack_core.providers.safety._service import Service
from stack_core.providers.safety._texts import images_of, text_of

BLOCKED = frozenset(
    {
        "connection", "content-length", "content-type", "cookie", "forwarded", "host", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "set-cookie", "te", "trailer",
        "transfer-encoding", "upgrade", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
    }
)  # fmt: skip
"""Headers that are never forwarded: they belong to one connection."""


class PassthroughConfig(BaseModel):
    """Where to, with which key, and which of the caller's values go along."""

    model_config = ConfigDict(extra="forbid")
    base_url: str = Field(min_length=1, description="Of the service, with its /v1.")
    api_key: SecretStr | None = Field(None, description="Wins over a forwarded Authorization.")
    forward_headers: dict[str, str] | None = Field(
        None, description="Name in the caller's provider data → header that it is sent as."
    )
    extra_blocked_headers: list[str] = Field([], description="More headers that must not be forwarded.")
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")

    @field_validator("forward_headers")
    @classmethod
    def _names(cls, given: dict[str, str] | None) -> dict[str, str] | None:
        for name, header in (given or {}).items():
            if name.startswith("__") or header.lower() in BLOCKED:
                raise ConfigError(f"{name} cannot be forwarded as {header}", "leave it out of forward_headers")
        return given


class NoParams(Strict):
    """A shield of this provider has no settings."""


@provider(
    "remote::passthrough",
    sample={"base_url": "${env.PASSTHROUGH_SAFETY_URL}", "api_key": "${env.PASSTHROUGH_SAFETY_API_KEY:=}"},
)
class Passthrough(Guard[NoParams]):
    """Hands texts and images to a service's `/moderations`; the shield goes by the model's name there."""

    Config = PassthroughConfig
    Params = NoParams
    sees = frozenset({"image_url"})

    def __init__(self, config: PassthroughConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))
        self._config = config
        self._blocked = BLOCKED | {name.lower() for name in config.extra_blocked_headers}
        self._service = Service(config.base_url, str(provider_id), config.network)

    async def __aenter__(self) -> Passthrough:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._service.aclose()

    async def judge(self, shield: Shield, params: NoParams, messages: Sequence[Message]) -> Verdict | None:
        """What the service flags in any of the messages; one with images is asked for alone."""
        said = [message for message in messages if text_of(message).strip() or images_of(message)]
        texts = [text_of(message) for message in said if not images_of(message)]
        asked = [_parts(message) for message in said if images_of(message)]
        results = [await self._ask(shield, parts, 1) for parts in asked]
        if texts:
            results.append(await self._ask(shield, texts, len(texts)))
        flagged = [result for answers in results for result in answers if result.flagged]
        if not flagged:
            return None
        hit = {name: 0.0 for result in flagged for name, value in result.categories.items() if value}
        for result in flagged:
            hit |= {name: max(score, result.category_scores.get(name, 1.0)) for name, score in hit.items()}
        message = flagged[0].user_message or "Sorry, this was flagged as harmful."
        return Verdict(message, {"violation_type": ",".join(hit), **flagged[0].metadata}, hit)

    async def moderate(self, request: ModerationRequest) -> Moderation:
        """The service's own answer, for all inputs in one call."""
        shield = await self._shields.get_shield(str(request.model))
        self.params_of(shield, None)
        inputs = messages_of(request)
        whole = isinstance(inputs[0].content, list)  # texts and images that belong together
        given = _parts(inputs[0]) if whole else [text_of(message) for message in inputs]
        return moderation(shield, await self._ask(shield, given, len(inputs)))

    async def _ask(self, shield: Shield, given: Any, wanted: int) -> list[ModerationResult]:
        headers, secrets = self._headers()
        body = {"input": given, "model": model_of(shield)}
        answer = await self._service.post("/moderations", body, headers, secrets)
        try:
            results = [ModerationResult.model_validate(row) for row in answer["results"]]
        except (KeyError, TypeError, ValidationError):
            raise self._service.unreadable("it has no list of results") from None
        if len(results) != wanted:
            raise self._service.unreadable(f"it has {len(results)} results for {wanted} inputs")
        return results

    def _headers(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """What goes along, and what must not show up in an error."""
        data, headers = context.provider_data.get(), {}
        for name, header in (self._config.forward_headers or {}).items():
            if name in data and header.lower() not in self._blocked:
                headers[header.lower()] = _one_line(str(data[name]))
        own = self._config.api_key.get_secret_value().strip() if self._config.api_key else ""
        if key := own or _one_line(str(data.get("passthrough_api_key") or "")):
            headers["authorization"] = f"Bearer {key}"
        return headers, (*headers.values(), key)


def _one_line(value: str) -> str:
    """A header's value: what would begin another header is left out."""
    return "".join(sign for sign in value if sign.isprintable()).strip()


def _parts(message: Message) -> list[dict[str, Any]]:
    images = [{"type": "image_url", "image_url": {"url": url}} for url in images_of(message)]
    text = text_of(message)
    return [*([{"type": "text", "text": text}] if text.strip() else []), *images]
