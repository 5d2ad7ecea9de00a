"""NVIDIA's NeMo Guardrails microservice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.http import Network
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, model_of
from stack_core.providers.safety._service import Service
from stack_core.providers.safety._texts import text_of


class NvidiaConfig(BaseModel):
    """Fields of Llama Stack 0.3.5, and the connection."""

    model_config = ConfigDict(extra="forbid")
    guardrails_service_url: str = Field("http://0.0.0.0:7331", description="Where the microservice is.")
    config_id: str | None = Field("self-check", description="Which of its configurations.")
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")


class NvidiaParams(Strict):
    """What a shield may say."""

    model: str | None = Field(None, description="The model to check with; the shield's own name where left out.")
    config_id: str | None = Field(None, description="Which configuration; the provider's where left out.")


@provider(
    "remote::nvidia",
    sample={
        "guardrails_service_url": "${env.GUARDRAILS_SERVICE_URL:=http://localhost:7331}",
        "config_id": "${env.NVIDIA_GUARDRAILS_CONFIG_ID:=self-check}",
    },
)
class NvidiaGuardrails(Guard[NvidiaParams]):
    """Asks the microservice for its checks of a conversation; the shield goes by the model that they use."""

    Config = NvidiaConfig
    Params = NvidiaParams

    def __init__(self, config: NvidiaConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))
        self._config = config
        self._service = Service(config.guardrails_service_url, str(provider_id), config.network)

    async def __aenter__(self) -> NvidiaGuardrails:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._service.aclose()

    async def judge(self, shield: Shield, params: NvidiaParams, messages: Sequence[Message]) -> Verdict | None:
        """Whether the service blocks the conversation, and which of its rails did."""
        body = {
            "model": params.model or model_of(shield),
            "messages": [{"role": message.role, "content": text_of(message)} for message in messages],
            "temperature": 1.0,
            "top_p": 1,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "max_tokens": 160,
            "stream": False,
            "guardrails": {"config_id": params.config_id or self._config.config_id},
        }
        answer = await self._service.post("/v1/guardrail/checks", body, {})
        status, rails = answer.get("status"), answer.get("rails_status")
        if status == "success":
            return None
        if status != "blocked":
            raise self._service.unreadable(f"its status is {status!r}, not success or blocked")
        rails = rails if isinstance(rails, dict) else {}
        blocked = [
            name for name, rail in rails.items() if not isinstance(rail, dict) or rail.get("status") == "blocked"
        ]
        metadata = {"violation_type": ",".join(map(str, blocked)), **rails}
        return Verdict("Sorry I cannot do this.", metadata, dict.fromkeys(map(str, blocked), 1.0))
