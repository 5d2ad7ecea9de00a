"""What all guards share: who is asked, what is looked at, and how a verdict is told to both kinds of callers."""

from __future__ import annotations

import asyncio
import uuid
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from stack_core.apis._chat_messages import Message, UserMessage
from stack_core.apis._violations import SafetyViolation, ViolationLevel
from stack_core.apis.safety import (
    CATEGORIES,
    Moderation,
    ModerationRequest,
    ModerationResult,
    RunShieldRequest,
    RunShieldResponse,
    Safety,
)
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import InvalidRequest
from stack_core.providers.safety._texts import images_of, kinds_of, text_of

P = TypeVar("P", bound=BaseModel)
AT_ONCE = 8
"""Inputs of one moderation that are looked at together."""


@dataclass(frozen=True)
class Verdict:
    """What was found. `scores` are the categories that were hit, from 0 to 1; `told` is what a moderation tells the
    user in place of `message`."""

    message: str
    metadata: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    level: ViolationLevel = "error"
    told: str | None = None


class Guard(Safety, Generic[P]):
    """A provider of safety. A subclass says in `judge` what it thinks of messages.

    What a shield was registered with wins over what a request says: a caller cannot loosen a guard.
    """

    Params: type[P]
    """What a shield may be registered with, and a request may add."""
    sees: ClassVar[frozenset[str]] = frozenset()
    """Types of parts beside texts that it can look at."""
    overlooks: ClassVar[bool] = False
    """Whether it lets pass what it cannot look at, since it is about texts alone."""

    def __init__(self, shields: Shields, provider_id: str) -> None:
        self._shields, self.provider_id = shields, provider_id

    @abstractmethod
    async def judge(self, shield: Shield, params: P, messages: Sequence[Message]) -> Verdict | None:
        """What the guard found in messages that hold at least one text or image; None where it found nothing.

        Raises:
            StackError: it cannot say. Whoever asked decides whether that means no.
        """

    def can_see(self, shield: Shield) -> frozenset[str]:
        """Types of parts beside texts that this shield can look at."""
        return self.sees

    async def check_shield(self, shield: Shield) -> None:
        """Refuse a shield that could never answer (`ChecksShields`).

        Raises:
            InvalidRequest: its params are wrong.
        """
        self.params_of(shield, None)

    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
        """Let a shield look at messages."""
        shield = await self._shields.get_shield(request.shield_id)
        verdict = await self._look(shield, self.params_of(shield, request.params), request.messages)
        if verdict is None:
            return RunShieldResponse()
        return RunShieldResponse(
            violation=SafetyViolation(
                violation_level=verdict.level, user_message=verdict.message, metadata=verdict.metadata
            )
        )

    async def moderate(self, request: ModerationRequest) -> Moderation:
        """Say what is harmful in each input. Texts and images given as parts belong together: they are one input."""
        shield = await self._shields.get_shield(str(request.model))
        params, inputs = self.params_of(shield, None), messages_of(request)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(message: UserMessage) -> ModerationResult:
            async with gate:
                return result_of(await self._look(shield, params, [message], lenient=False), message)

        tasks = [asyncio.create_task(one(message)) for message in inputs]
        try:
            results = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return moderation(shield, results)

    def params_of(self, shield: Shield, asked: dict[str, Any] | None) -> P:
        """The settings of a check: the request's, then the shield's own over them.

        Raises:
            InvalidRequest: an unknown name or a wrong value.
        """
        try:
            return self.Params.model_validate({**(asked or {}), **(shield.params or {})})
        except ValidationError as error:
            faults = [
                {"loc": ["params", *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}
                for fault in error.errors(include_url=False, include_input=False)
            ]
            first = faults[0]
            known = ", ".join(self.Params.model_fields) or "none"
            raise InvalidRequest(
                f"{'.'.join(map(str, first['loc']))} of the shield {shield.identifier!r}: {first['msg']}",
                f"{self.provider_id} takes: {known}",
                errors=faults,
            ) from error

    async def _look(
        self, shield: Shield, params: P, messages: Sequence[Message], lenient: bool = True
    ) -> Verdict | None:
        unseen = kinds_of(messages) - self.can_see(shield)
        if unseen and not (lenient and self.overlooks):
            raise InvalidRequest(
                f"the shield {shield.identifier!r} cannot look at {', '.join(sorted(unseen))}",
                "leave it out, or choose a shield that can",
            )
        if not any(text_of(message).strip() or images_of(message) for message in messages):
            return None
        return await self.judge(shield, params, messages)


def model_of(shield: Shield) -> str:
    """The model or rule that a shield goes by."""
    return shield.provider_resource_id or shield.identifier


def messages_of(request: ModerationRequest) -> list[UserMessage]:
    """The inputs of a moderation, each as what a user said.

    Raises:
        InvalidRequest: there is no input.
    """
    given = request.input
    if isinstance(given, str):
        return [UserMessage(content=given)]
    if not given:
        raise InvalidRequest("input is empty", "give a text, several, or parts of type text and image_url")
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) == len(given):
        return [UserMessage(content=text) for text in texts]
    parts = [part.model_dump(exclude_none=True) for part in given if not isinstance(part, str)]
    return [UserMessage.model_validate({"content": parts})]


def result_of(verdict: Verdict | None, message: UserMessage) -> ModerationResult:
    """A verdict as OpenAI tells it: all its categories, and the guard's own where they were hit."""
    scores = verdict.scores if verdict else {}
    kinds = (["text"] if text_of(message).strip() else []) + (["image"] if images_of(message) else [])
    names = dict.fromkeys([*CATEGORIES, *scores])
    return ModerationResult(
        flagged=verdict is not None,
        categories={name: name in scores for name in names},
        category_scores={name: scores.get(name, 0.0) for name in names},
        category_applied_input_types={name: kinds if name in scores else [] for name in names},
        user_message=(verdict.told or verdict.message) if verdict else None,
        metadata=verdict.metadata if verdict else {},
    )


def moderation(shield: Shield, results: list[ModerationResult]) -> Moderation:
    """The whole answer; its model is the one that the shield goes by."""
    return Moderation(id=f"modr-{uuid.uuid4().hex}", model=model_of(shield), results=results)
