"""What is said in a chat: messages, their content, and calls of tools. Shapes: OpenAI 2.3.0."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stack_core.apis._by_type import Maybe
from stack_core.apis._shapes import Open


class TextPart(Open):
    """A piece of text in a message."""

    type: Literal["text"] = "text"
    text: str


class ImageURL(Open):
    """Where an image is: an http(s) URL or a `data:` URL with base64 content."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Open):
    """An image in a message."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL


class InputAudio(Open):
    """Base64 audio and its format."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Open):
    """Audio in a message."""

    type: Literal["input_audio"] = "input_audio"
    input_audio: InputAudio


class FileData(Open):
    """A file by its content (base64) or by its id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Open):
    """A file in a message."""

    type: Literal["file"] = "file"
    file: FileData


class RefusalPart(Open):
    """What a model said in place of an answer."""

    type: Literal["refusal"] = "refusal"
    refusal: str


Part = Annotated[TextPart | ImagePart | AudioPart | FilePart | RefusalPart, Field(discriminator="type")]
Content = str | list[Part]


class FunctionCall(Open):
    """A call of a function: its name and its arguments as JSON text, as the model wrote them."""

    name: str = ""
    arguments: str = ""


class CustomCall(Open):
    """A call of a custom tool: its name and its input, a text."""

    name: str = ""
    input: str = ""


def _not_given(function: FunctionCall) -> bool:
    """A call of a custom tool has no function, and none is sent with it."""
    return not function.model_fields_set


class ToolCall(Open):
    """A call of a tool; its result comes back in a message with this id as `tool_call_id`."""

    id: str = ""
    type: str = "function"
    function: FunctionCall = Field(default_factory=FunctionCall, exclude_if=_not_given)
    custom: Maybe[CustomCall] = None


class AudioReference(Open):
    """An answer in audio that the model gave before, by its id."""

    id: str


class SystemMessage(Open):
    """Instructions from whoever builds the application."""

    role: Literal["system"] = "system"
    content: Content
    name: str | None = None


class DeveloperMessage(Open):
    """The newer name of the system message."""

    role: Literal["developer"] = "developer"
    content: Content
    name: str | None = None


class UserMessage(Open):
    """What a person asks."""

    role: Literal["user"] = "user"
    content: Content
    name: str | None = None


class AssistantMessage(Open):
    """What a model answered before."""

    role: Literal["assistant"] = "assistant"
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    audio: AudioReference | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None


class ToolMessage(Open):
    """The result of a tool call."""

    role: Literal["tool"] = "tool"
    tool_call_id: str
    content: Content


class FunctionMessage(Open):
    """The older form of a tool's result."""

    role: Literal["function"] = "function"
    name: str
    content: str | None = None


Message = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]
