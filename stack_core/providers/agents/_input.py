"""What is said to an agent as a chat: content in Llama Stack's shape, documents, and results of the caller's tools."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from stack_core.apis._content import Upload
from stack_core.apis._interleaved import URL, ImageItem, ImageSource, TextItem
from stack_core.apis._messages import ToolOutput
from stack_core.apis._turns import Attachment, TurnInput
from stack_core.apis.file_processors import FileProcessors, ProcessFile
from stack_core.apis.inference import AssistantMessage, Message, ToolMessage, UserMessage
from stack_core.errors import InvalidRequest, Unsupported

_CHAT: TypeAdapter[list[Message]] = TypeAdapter(list[Message], config=ConfigDict(defer_build=True))
_IMAGES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
"""How an image of each type begins."""
_ADDRESS = re.compile(r"(https?|file)://\S+")
NO_RESULT = "No result: the caller went on without it."
"""What a model is told of a call that the caller never answered."""


def content(given: Any) -> Any:
    """Content as a chat message has it: a text, or parts in their order.

    Raises:
        InvalidRequest: an image without content, or of a type that is not known.
    """
    if isinstance(given, str):
        return given
    items = given if isinstance(given, list) else [given]
    if all(isinstance(item, TextItem) for item in items):
        return "\n".join(item.text for item in items)
    return parts(given)


def parts(given: Any) -> list[dict[str, Any]]:
    """Content as parts."""
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    items: list[TextItem | ImageItem] = given if isinstance(given, list) else [given]
    return [
        {"type": "text", "text": item.text}
        if isinstance(item, TextItem)
        else {"type": "image_url", "image_url": {"url": _image(item.image)}}
        for item in items
    ]


def text(given: Any) -> str:
    """The texts of a content; of an image, that there was one."""
    if isinstance(given, str):
        return given
    items = given if isinstance(given, list) else [given]
    return "\n".join(item.text if isinstance(item, TextItem) else "(an image)" for item in items)


def _image(source: ImageSource) -> str:
    if (source.url is None) == (source.data is None):
        raise InvalidRequest("messages: an image needs url or data", "give one of the two")
    if source.url is not None:
        return source.url.uri
    data = source.data or ""
    try:
        head = base64.b64decode(data, validate=True)[:4]
    except binascii.Error as error:
        raise InvalidRequest(f"messages: the data of an image is no base64: {error}") from error
    kind = next((kind for start, kind in _IMAGES.items() if head.startswith(start)), None)
    if kind is None:
        raise InvalidRequest("messages: the data of an image is of no known type", "give a PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{data}"


class Inputs:
    """Turns what is said into chat messages; reads documents through the File Processors API."""

    def __init__(self, processors: FileProcessors | None) -> None:
        self._processors = processors

    async def said(self, messages: Sequence[TurnInput], documents: Sequence[Attachment] | None) -> list[Message]:
        """The messages of a turn; documents go to the end of the last thing that the user says.

        Raises:
            InvalidRequest: nothing is said, or a document cannot be read.
            Unsupported: a document by an address.
        """
        if not messages:
            raise InvalidRequest("messages: at least one is needed")
        chat = [_message(message) for message in messages]
        added = [part for index, one in enumerate(documents or ()) for part in await self._document(one, index)]
        if not added:
            return chat
        if isinstance(chat[-1], UserMessage):
            added = [*_each(chat.pop().content), *added]
        chat.append(_user(added))
        return chat

    async def _document(self, document: Attachment, index: int) -> list[dict[str, Any]]:
        given = document.content
        if isinstance(given, URL):
            return [await self._fetched(given.uri, document.mime_type, index)]
        if isinstance(given, str):
            if _ADDRESS.fullmatch(given.strip()):
                return [await self._fetched(given.strip(), document.mime_type, index)]
            return [_framed(given, index)]
        return [_framed(part["text"], index) if part["type"] == "text" else part for part in parts(given)]

    async def _fetched(self, uri: str, mime_type: str, index: int) -> dict[str, Any]:
        place = f"documents[{index}].content"
        if not uri.startswith("data:"):
            raise Unsupported(
                f"{place}: this stack fetches no addresses", "give the content, or a data: URL with it as base64"
            )
        if self._processors is None:
            raise Unsupported(f"{place}: files cannot be read here", "add a provider under providers.file_processors")
        try:
            body = base64.b64decode(uri.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise InvalidRequest(f"{place}: the data: URL holds no base64: {error}") from error
        name = f"document-{index + 1}{mimetypes.guess_extension(mime_type) or ''}"
        found = await self._processors.process_file(ProcessFile(file=Upload.of((name, body, mime_type))))
        return _framed("\n".join(chunk.content for chunk in found.chunks), index)


def _framed(body: str, index: int) -> dict[str, Any]:
    return {"type": "text", "text": f"Document {index + 1}:\n{body}\nEnd of document {index + 1}.\n"}


def _each(before: Any) -> list[Any]:
    if isinstance(before, str):
        return [{"type": "text", "text": before}]
    return [part.model_dump(exclude_none=True) for part in before]


def _user(body: Any) -> UserMessage:
    return UserMessage.model_validate({"content": body})


def _message(given: TurnInput) -> Message:
    if isinstance(given, ToolOutput):
        return ToolMessage.model_validate({"tool_call_id": given.call_id, "content": content(given.content)})
    if given.context is None:
        return _user(content(given.content))
    if isinstance(given.content, str) and isinstance(given.context, str):
        return _user(f"{given.content}\n{given.context}")
    return _user([*parts(given.content), *parts(given.context)])


def joined(history: Sequence[Message], said: Sequence[Message]) -> list[Message]:
    """What was said before and what is said now. Every call has its result: a service refuses a chat without.

    Raises:
        InvalidRequest: a result of a call that waits for none.
    """
    waiting = _waiting(history)
    results = {message.tool_call_id: message for message in said if isinstance(message, ToolMessage)}
    if unknown := sorted(results.keys() - set(waiting)):
        known = ", ".join(waiting) or "none"
        raise InvalidRequest(f"messages: no call {', '.join(unknown)} waits for a result", f"those that wait: {known}")
    missing = [results.get(id) or ToolMessage(tool_call_id=id, content=NO_RESULT) for id in waiting]
    return [*missing, *(message for message in said if not isinstance(message, ToolMessage))]


def _waiting(history: Sequence[Message]) -> list[str]:
    """The ids of the last calls that have no result."""
    done: set[str] = set()
    for message in reversed(history):
        if isinstance(message, ToolMessage):
            done.add(message.tool_call_id)
        elif isinstance(message, AssistantMessage):
            return [call.id for call in message.tool_calls or () if call.id not in done]
    return []


def dumped(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Chat messages as they are kept."""
    return [message.model_dump(mode="json", exclude_none=True) for message in messages]


def loaded(rows: Sequence[Any]) -> list[Message]:
    """Kept chat messages."""
    return _CHAT.validate_python(list(rows))
