"""Safety: shields look at messages, and moderations at texts and images.

Shapes: Llama Stack 0.3.5 (`run-shield`), OpenAI 2.3.0 (moderations) with the `user_message` and `metadata` of 0.3.5.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._shapes import Open, Shape, Strict
from stack_core.apis._violations import SafetyViolation
from stack_core.apis.inference import Message

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's categories. A shield may have others of its own."""


def _by_category(schema: dict[str, Any]) -> dict[str, Any]:
    """For the OpenAPI document: a mapping in which OpenAI's categories stand by name."""
    return {"properties": dict.fromkeys(CATEGORIES, schema)}


class TextToModerate(Open):
    """A text."""

    type: Literal["text"] = "text"
    text: str


class ModeratedImage(Open):
    """Where the image is: an http(s) URL or a `data:` URL with base64 content."""

    url: str


class ImageToModerate(Open):
    """An image."""

    type: Literal["image_url"] = "image_url"
    image_url: ModeratedImage


class RunShieldRequest(Strict):
    """Arguments of `run_shield`."""

    shield_id: str = Field(min_length=1)
    messages: list[Message]
    params: dict[str, Any] | None = Field(None, description="What the provider is told beside its own settings.")


class ModerationRequest(Strict):
    """Arguments of `moderate`."""

    input: str | list[str] | list[Annotated[TextToModerate | ImageToModerate, Field(discriminator="type")]] = Field(
        description="One text, several, or texts and images that belong together."
    )
    model: str | None = Field(None, description="A shield's id, or its provider's name for it; else the default one.")


class RunShieldResponse(Shape):
    """What the shield found; no violation where it found nothing."""

    violation: SafetyViolation | None = None


class ModerationResult(Open):
    """What was found in one input. A score is from 0 to 1."""

    flagged: bool
    categories: dict[str, bool] = Field({}, json_schema_extra=_by_category({"type": "boolean"}))
    category_scores: dict[str, float] = Field({}, json_schema_extra=_by_category({"type": "number"}))
    category_applied_input_types: dict[str, list[str]] = Field(
        {}, json_schema_extra=_by_category({"type": "array", "items": {"type": "string"}})
    )
    user_message: str | None = Field(None, description="What to tell the user (Llama Stack).")
    metadata: dict[str, Any] = Field({}, description="What else the shield says (Llama Stack).")


class Moderation(Open):
    """What was found, one result an input."""

    id: str
    model: str
    results: list[ModerationResult]


class Safety(Protocol):
    """Safety: shields look at messages, and moderations at texts and images."""

    @route("POST", "/safety/run-shield", key="shield_id", sdk="safety.run_shield")
    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
        """Let a shield look at messages."""
        ...

    @route("POST", "/moderations", key="shield_id", sdk="moderations.create")
    async def moderate(self, request: ModerationRequest) -> Moderation:
        """Say what is harmful in texts and images, by category."""
        ...
