"""Results on the wire: JSON bodies, and server-sent events for what is streamed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from stack_core.apis._content import FileContent
from stack_core.errors import ProviderError
from stack_core.wire.faults import error_of
from stack_core.wire.form_body import disposition
from stack_core.wire.forms import parameters

EVENT_STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"
"""OpenAI's end of a stream. Clients of Llama Stack take it for JSON and fail, so it is not sent to them."""

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;\s*[\w.+-]+=[\w.+\"-]+)*", re.ASCII)


def encode(value: Any) -> bytes:
    """The JSON of a result or of one streamed item."""
    serializer = getattr(type(value), "__pydantic_serializer__", None)
    text: bytes = to_json(value, by_alias=True) if serializer is None else serializer.to_json(value, by_alias=True)
    return text


def frame(value: Any) -> bytes:
    """One event of a stream. Events of a response, which have numbers, are also named, as at OpenAI."""
    if hasattr(value, "sequence_number"):
        return b"event: " + str(value.type).encode() + b"\ndata: " + encode(value) + b"\n\n"
    return b"data: " + encode(value) + b"\n\n"


def file_headers(content: FileContent) -> list[tuple[str, str]]:
    """The headers of a file that is sent: to be saved, and never taken by a browser for a page of this server."""
    kind = content.media_type if _MEDIA_TYPE.fullmatch(content.media_type) else "application/octet-stream"
    headers = [("content-type", kind), ("x-content-type-options", "nosniff")]
    if content.size is not None:
        headers.append(("content-length", str(content.size)))
    headers.append(("content-disposition", disposition(content.filename) if content.filename else "attachment"))
    return headers


def file_facts(headers: Mapping[str, str]) -> dict[str, Any]:
    """`filename`, `media_type` and `size` of a file that comes, from the headers of the answer."""
    given = parameters(headers.get("content-disposition", ""))
    name = unquote(given.get("filename*", b"").decode("latin-1").rpartition("'")[2])
    length = headers.get("content-length", "")
    return {
        "filename": name or given.get("filename", b"").decode("utf-8", "replace"),
        "media_type": headers.get("content-type", "application/octet-stream"),
        "size": int(length) if length.isdigit() and "content-encoding" not in headers else None,
    }


def decode(kind: Any, body: bytes) -> Any:
    """The typed result in a body.

    Raises:
        ProviderError: the server answered something else.
    """
    if kind is None:
        return None
    return _typed(kind, body)


def decode_item(kind: Any, data: bytes) -> Any:
    """The typed item of one event.

    Raises:
        StackError: the event is an error that came in the middle of the stream.
    """
    if b'"error"' in data:
        content = from_json(data)
        if isinstance(content, dict) and content.get("error"):
            raise error_of(0, data)
    return _typed(kind, data)


def _typed(kind: Any, body: bytes) -> Any:
    try:
        return _adapter(kind).validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise ProviderError(
            f"the server's answer is not the expected {getattr(kind, '__name__', kind)}: {place}: {first['msg']}",
            "is the URL that of a Llama Stack server?",
        ) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
