"""Llama Guard, any generation, served by a model of the stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.inference import ChatCompletion, Inference
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import ProviderError
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, model_of
from stack_core.providers.safety._llama_guard import (
    OPENAI,
    Generation,
    Version,
    codes_of,
    generation_of,
    question,
    read,
)
from stack_core.providers.safety._texts import images_of

CANNED = "I can't answer that. Can I help with something else?"
"""What Llama Stack tells the user."""


class LlamaGuardConfig(BaseModel):
    """Fields of Llama Stack 0.3.5."""

    model_config = ConfigDict(extra="forbid")
    excluded_categories: list[str] = Field([], description="Categories that are let pass, by code or name.")


class LlamaGuardParams(Strict):
    """What a shield of Llama Guard may say."""

    version: Version | None = Field(None, description="The model's generation, where its name does not say it.")
    excluded_categories: list[str] = Field([], description="Categories that are let pass beside the config's.")


@provider("inline::llama-guard", sample={"excluded_categories": []})
class LlamaGuard(Guard[LlamaGuardParams]):
    """A model that says whether the last message of a conversation is safe. The shield goes by the model's id.

    An answer that is neither `safe` nor `unsafe` is an error, never a yes.
    """

    Config = LlamaGuardConfig
    Params = LlamaGuardParams

    def __init__(
        self, config: LlamaGuardConfig, inference: Inference, shields: Shields, provider_id: ProviderId
    ) -> None:
        super().__init__(shields, str(provider_id))
        self._config, self._inference = config, inference

    def can_see(self, shield: Shield) -> frozenset[str]:
        """Images, for the models that take them."""
        return frozenset({"image_url"} if self._generation(shield, self.params_of(shield, None)).images else ())

    async def check_shield(self, shield: Shield) -> None:
        """Refuse categories that the model's generation does not have."""
        self._excluded(self.params_of(shield, None), self._generation(shield, self.params_of(shield, None)))

    async def judge(self, shield: Shield, params: LlamaGuardParams, messages: Sequence[Message]) -> Verdict | None:
        """What the model says of the last message."""
        generation = self._generation(shield, params)
        excluded = self._excluded(params, generation)
        content: Any = question(generation, messages, excluded)
        if images := images_of(messages[-1]):
            shown = [{"type": "image_url", "image_url": {"url": url}} for url in images]
            content = [*shown, {"type": "text", "text": content}]
        model = model_of(shield)
        answer = await self._inference.chat_completion(
            model=model, messages=[{"role": "user", "content": content}], stream=False, temperature=0.0
        )  # type: ignore[call-arg]  # a bound API takes the fields of the request
        try:
            codes = read(said := _text(answer))
        except ValueError:
            raise ProviderError(
                f"{self.provider_id} ({model}) said neither safe nor unsafe: {said[:100]!r}",
                "is the model a Llama Guard?",
                provider_id=self.provider_id,
            ) from None
        if codes is None or (codes and excluded.issuperset(codes)):
            return None
        return verdict_of([code for code in codes if code not in excluded], generation.categories)

    def _generation(self, shield: Shield, params: LlamaGuardParams) -> Generation:
        return generation_of(model_of(shield), params.version)

    def _excluded(self, params: LlamaGuardParams, generation: Generation) -> set[str]:
        return codes_of([*self._config.excluded_categories, *params.excluded_categories], generation)


def verdict_of(codes: Sequence[str], categories: Any) -> Verdict:
    """The verdict of an unsafe message."""
    names = [categories.get(code, code) for code in codes]
    scores = {theirs: 1.0 for theirs, ours in OPENAI.items() if not {*ours}.isdisjoint(names)}
    mapped = {name for ours in OPENAI.values() for name in ours}
    scores |= {name: 1.0 for name in names if name not in mapped}
    told = f"{CANNED} ({', '.join(names)})" if names else CANNED
    metadata: dict[str, Any] = {"violation_type": ",".join(codes), "categories": names}
    return Verdict(CANNED, metadata, scores, told=told)


def _text(answer: ChatCompletion | Any) -> str:
    return str(answer.choices[0].message.content or "") if answer.choices else ""
