"""Whole answers: what a service sends, as OpenAI's objects."""

from __future__ import annotations

import array
import base64
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from stack_core.apis.inference import ChatCompletion, Completion, EmbeddingList
from stack_core.providers.inference import _pieces as pieces
from stack_core.providers.inference._chunks import mend_text_choice

_validate_chat: Callable[[Any], ChatCompletion] = ChatCompletion.__pydantic_validator__.validate_python
_validate_text: Callable[[Any], Completion] = Completion.__pydantic_validator__.validate_python
_validate_vectors: Callable[[Any], EmbeddingList] = EmbeddingList.__pydantic_validator__.validate_python


def chat(payload: dict[str, Any], model: str, tags: tuple[str, str] | None) -> ChatCompletion:
    """A chat completion under an id of ours.

    Raises:
        ValidationError, TypeError: the payload is no completion.
    """
    for position, choice in enumerate(_choices(payload)):
        if choice.get("index") is None:
            choice["index"] = position
        choice.pop("obfuscation", None)
        message = choice.get("message")
        if message is not None:
            _mend_message(message, tags)
            called = bool(message.get("tool_calls"))
            reason = choice.get("finish_reason") or "stop"
            choice["finish_reason"] = pieces.finish_reason(reason, called)
    return _validate_chat(_framed(payload, f"chatcmpl-{uuid4().hex}", "chat.completion", model))


def text(payload: dict[str, Any], model: str) -> Completion:
    """A text completion under an id of ours.

    Raises:
        ValidationError, TypeError: the payload is no completion.
    """
    for position, choice in enumerate(_choices(payload)):
        mend_text_choice(choice, position)
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    return _validate_text(_framed(payload, f"cmpl-{uuid4().hex}", "text_completion", model))


def vectors(payload: dict[str, Any], model: str, wanted: str) -> EmbeddingList:
    """Embeddings in the order of the input, as `wanted` (`float` or `base64`) whatever the service sent.

    Raises:
        ValidationError, KeyError, TypeError: the payload holds no embeddings.
    """
    rows: list[dict[str, Any]] = payload["data"]
    for position, row in enumerate(rows):
        if row.get("index") is None:
            row["index"] = position
        row["object"], row["embedding"] = "embedding", _coded(row.get("embedding"), wanted)
    counts = payload.get("usage") or {}
    prompt = max(0, counts.get("prompt_tokens") or 0)
    total = max(prompt, counts.get("total_tokens") or 0)
    own = {"object": "list", "data": sorted(rows, key=lambda row: row["index"]), "model": payload.get("model") or model}
    return _validate_vectors({**own, "usage": {**counts, "prompt_tokens": prompt, "total_tokens": total}})


def _choices(payload: dict[str, Any]) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = payload.get("choices") or []
    if not choices:
        raise TypeError("there are no choices in it")
    return choices


def _framed(payload: dict[str, Any], identity: str, kind: str, model: str) -> dict[str, Any]:
    payload.pop("obfuscation", None)
    payload["id"], payload["object"] = identity, kind
    payload["created"] = pieces.seconds(payload.get("created"))
    payload["model"] = payload.get("model") or model
    counts = payload.get("usage")
    payload["usage"] = pieces.usage(counts) if counts else None
    return payload


def _mend_message(message: dict[str, Any], tags: tuple[str, str] | None) -> None:
    thought = message.pop("reasoning", None)
    content = message.get("content")
    if isinstance(content, list):
        content, inner = pieces.split_blocks(content)
        thought = inner or thought
    elif content and tags:
        splitter = pieces.Thoughts(tags)
        (first, inner), (rest, held) = splitter.split(content), splitter.flush()
        content, thought = first + rest, inner + held or thought
    if thought and isinstance(thought, str) and not message.get("reasoning_content"):
        message["reasoning_content"] = thought
    message["role"], message["content"] = "assistant", content
    message["tool_calls"] = pieces.whole_calls(message.get("tool_calls"))


def _coded(vector: Any, wanted: str) -> Any:
    """A vector as floats, or as base64 of little-endian float32."""
    if wanted == "base64" and isinstance(vector, list):
        return base64.b64encode(_little(array.array("f", vector)).tobytes()).decode()
    if wanted == "float" and isinstance(vector, str):
        return _little(array.array("f", base64.b64decode(vector))).tolist()
    return vector


def _little(values: array.array[float]) -> array.array[float]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
