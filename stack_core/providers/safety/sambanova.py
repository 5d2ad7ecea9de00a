"""The guard models of SambaNova, which are given the conversation as it is: the service puts it into their prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stack_core import context
from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import MissingCredential, NotFound, ProviderError
from stack_core.http import Network
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, model_of
from stack_core.providers.safety._llama_guard import OPENAI, generation_of, read
from stack_core.providers.safety._service import Service
from stack_core.providers.safety._texts import text_of


class SambaNovaConfig(BaseModel):
    """Fields of Llama Stack 0.3.5, and the connection."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field("https://api.sambanova.ai/v1", description="Where the service is.")
    api_key: SecretStr | None = None
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")


class NoParams(Strict):
    """A shield of this provider has no settings."""


@provider("remote::sambanova", sample={"url": "https://api.sambanova.ai/v1", "api_key": "${env.SAMBANOVA_API_KEY:=}"})
class SambaNovaGuard(Guard[NoParams]):
    """Asks a guard model of SambaNova (`Meta-Llama-Guard-3-8B`); the shield goes by its name."""

    Config = SambaNovaConfig
    Params = NoParams

    def __init__(self, config: SambaNovaConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))
        self._key = config.api_key.get_secret_value().strip() if config.api_key else ""
        self._service = Service(config.url, str(provider_id), config.network)

    async def __aenter__(self) -> SambaNovaGuard:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._service.aclose()

    async def check_shield(self, shield: Shield) -> None:
        """Refuse a model that the service does not list. Where it cannot be asked now, a check will tell."""
        await super().check_shield(shield)
        try:
            answer = await self._service.get("/models")
        except ProviderError:
            return
        known = [str(row["id"]) for row in answer.get("data") or [] if isinstance(row, dict) and "id" in row]
        if known and _model(shield) not in known:
            raise NotFound("model", _model(shield), known)

    async def judge(self, shield: Shield, params: NoParams, messages: Sequence[Message]) -> Verdict | None:
        """What the model says of the last message."""
        model, key = _model(shield), str(context.provider_data.get().get("sambanova_api_key") or self._key)
        if not key:
            raise MissingCredential(f"{self.provider_id} has no key", "set api_key, or the variable SAMBANOVA_API_KEY")
        said = [{"role": _role(message), "content": text_of(message)} for message in messages]
        body = {"model": model, "messages": said, "temperature": 0.0}
        answer = await self._service.post("/chat/completions", body, {"authorization": f"Bearer {key}"}, secrets=(key,))
        try:
            text = str(answer["choices"][0]["message"]["content"])
            codes = read(text)
        except (KeyError, IndexError, TypeError):
            raise self._service.unreadable("it has no message") from None
        except ValueError:
            raise self._service.unreadable(f"the model said neither safe nor unsafe: {text[:100]!r}") from None
        if codes is None:
            return None
        return _verdict(codes, model)


def _verdict(codes: list[str], model: str) -> Verdict:
    categories = generation_of(model).categories
    names = [categories.get(code, code) for code in codes]
    scores = {theirs: 1.0 for theirs, ours in OPENAI.items() if not {*ours}.isdisjoint(names)}
    message = "I can't answer that. Can I help with something else?"
    return Verdict(message, {"violation_type": ",".join(codes), "categories": names}, scores)


def _model(shield: Shield) -> str:
    return model_of(shield).removeprefix("sambanova/")


def _role(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"
