"""One streamed answer: what a service sends, chunk by chunk, as chunks that OpenAI could have sent.

Whatever the service does, a stream out of here has one id, `role` on the first chunk of each answer alone, tool calls
with running indexes whose id and name come once, exactly one finish reason an answer, and the usage in a last chunk of
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from stack_core.apis.inference import ChatCompletionChunk, Completion
from stack_core.providers.inference import _pieces as pieces

_validate_chunk: Callable[[Any], ChatCompletionChunk] = ChatCompletionChunk.__pydantic_validator__.validate_python
_validate_text: Callable[[Any], Completion] = Completion.__pydantic_validator__.validate_python
_FRAME = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation", "x_groq"})


@dataclass
class _Answer:
    """What was seen of one of the `n` answers."""

    started: bool = False
    finished: bool = False
    thoughts: pieces.Thoughts | None = None
    calls: list[dict[str, str]] = field(default_factory=list)
    """id and name of each tool call, by our index."""
    places: dict[int, int] = field(default_factory=dict)
    """The service's index → ours."""


class ChatStream:
    """Mends the chunks of one chat completion. Payloads are changed in place: nobody else holds them."""

    def __init__(self, model: str, tags: tuple[str, str] | None) -> None:
        self.id = f"chatcmpl-{uuid4().hex}"
        self._model, self._tags = model, tags
        self._created = 0
        self._answers: dict[int, _Answer] = {}
        self._usage: dict[str, Any] | None = None
        self._carried: dict[str, Any] = {}

    def feed(self, payload: dict[str, Any]) -> ChatCompletionChunk | None:
        """The chunk to give out, if this payload makes one.

        Raises:
            ValidationError: the payload is no chunk at all.
        """
        counts = payload.pop("usage", None) or (payload.get("x_groq") or {}).get("usage")
        if counts:
            self._usage = counts  # running totals: the last one counts
        choices = payload.get("choices")
        if not choices:
            self._carried |= {key: value for key, value in payload.items() if key not in _FRAME and value is not None}
            return None
        if not self._created:
            self._created = pieces.seconds(payload.get("created"))
        for position, choice in enumerate(choices):
            self._mend(choice, position)
        payload.pop("obfuscation", None)
        payload["id"], payload["object"], payload["created"] = self.id, "chat.completion.chunk", self._created
        if not payload.get("model"):
            payload["model"] = self._model
        if self._carried:
            payload = {**self._carried, **payload}
            self._carried = {}
        return _validate_chunk(payload)

    def finish(self) -> list[ChatCompletionChunk]:
        """What the service left out: finish reasons, text held back, the usage."""
        last = []
        for index, answer in sorted(self._answers.items()):
            if not answer.finished:
                delta = _flushed(answer)
                reason = "tool_calls" if answer.calls else "stop"
                last.append({"index": index, "delta": delta, "finish_reason": reason})
        out = [self._own(last, None)] if last else []
        if self._usage:
            out.append(self._own([], pieces.usage(self._usage)))
        return out

    @property
    def empty(self) -> bool:
        """Whether nothing came that belongs to an answer."""
        return not self._answers

    def _own(self, choices: list[dict[str, Any]], counts: dict[str, Any] | None) -> ChatCompletionChunk:
        frame = {"id": self.id, "created": self._created or pieces.seconds(None), "model": self._model}
        return _validate_chunk({**frame, "choices": choices, "usage": counts})

    def _mend(self, choice: dict[str, Any], position: int) -> None:
        index = choice.get("index")
        if index is None:
            index = choice["index"] = position
        answer = self._answers.get(index)
        if answer is None:
            answer = self._answers[index] = _Answer(thoughts=pieces.Thoughts(self._tags) if self._tags else None)
        choice.pop("obfuscation", None)
        delta = choice.get("delta")
        if delta is None:
            delta = choice["delta"] = choice.pop("message", None) or {}
        if answer.started:
            delta.pop("role", None)
        else:
            answer.started, delta["role"] = True, "assistant"
        _mend_text(delta, answer.thoughts)
        if "tool_calls" in delta:
            calls = delta["tool_calls"]
            delta["tool_calls"] = [_mend_call(answer, call) for call in calls] if calls else None
        reason = choice.get("finish_reason")
        if reason is not None:
            choice["finish_reason"] = self._reason(reason, answer, delta)

    def _reason(self, reason: str, answer: _Answer, delta: dict[str, Any]) -> str | None:
        if not reason or answer.finished:
            return None
        answer.finished = True
        for name, text in _flushed(answer).items():
            delta[name] = (delta.get(name) or "") + text
        return pieces.finish_reason(reason, bool(answer.calls))


def _flushed(answer: _Answer) -> dict[str, str]:
    text, thought = answer.thoughts.flush() if answer.thoughts else ("", "")
    return {name: value for name, value in (("content", text), ("reasoning_content", thought)) if value}


def _mend_text(delta: dict[str, Any], thoughts: pieces.Thoughts | None) -> None:
    """Reasoning under its one name, content as text."""
    thought = delta.pop("reasoning", None)
    content = delta.get("content")
    if isinstance(content, list):
        content, inner = pieces.split_blocks(content)
        thought = inner or thought
        delta["content"] = content or None
    elif content and thoughts:
        content, inner = thoughts.split(content)
        thought = inner or thought
        delta["content"] = content or None
    if thought and isinstance(thought, str) and not delta.get("reasoning_content"):
        delta["reasoning_content"] = thought


def _mend_call(answer: _Answer, call: dict[str, Any]) -> dict[str, Any]:
    """A piece of a tool call: the index is ours, id and name come with the first piece and never again."""
    function = call.get("function") or {}
    name, identity = function.get("name") or "", call.get("id") or ""
    place = _place(answer, call.get("index"), identity, name)
    fresh = place == len(answer.calls)
    if fresh:
        if not identity or any(known["id"] == identity for known in answer.calls):
            identity = pieces.new_call_id()
        answer.calls.append({"id": identity, "name": name})
    known = answer.calls[place]
    new_name = name if fresh or name != known["name"] else ""
    known["name"] = known["name"] or name
    text = function.get("arguments")
    function = {
        **function,
        "name": new_name or None,
        "arguments": pieces.arguments_text(text) if text or fresh else text,
    }
    start = {"id": identity, "type": "function"} if fresh else {"id": None, "type": None}
    return {**call, **start, "index": place, "function": function}


def _place(answer: _Answer, index: int | None, identity: str, name: str) -> int:
    """Our index of the call that a piece belongs to; one past the last where it opens a new call."""
    new = len(answer.calls)
    if index is None:  # Gemini numbers nothing: an id or a name opens a call
        known = next((i for i, call in enumerate(answer.calls) if identity and call["id"] == identity), None)
        return known if known is not None else new if identity or name or not new else new - 1
    place = answer.places.get(index)
    if place is None or (identity and name and answer.calls[place]["id"] != identity):
        place = answer.places[index] = new  # the second case: whole calls that all say index 0 (older Ollama)
    return place


class TextStream:
    """Mends the pieces of one text completion."""

    def __init__(self, model: str) -> None:
        self.id = f"cmpl-{uuid4().hex}"
        self._model, self._created = model, 0
        self._finished: dict[int, bool] = {}
        self._usage: dict[str, Any] | None = None

    def feed(self, payload: dict[str, Any]) -> Completion | None:
        """The piece to give out, if this payload makes one.

        Raises:
            ValidationError: the payload is no completion at all.
        """
        self._usage = payload.pop("usage", None) or self._usage
        choices = payload.get("choices")
        if not choices:
            return None
        self._created = self._created or pieces.seconds(payload.get("created"))
        for position, choice in enumerate(choices):
            mend_text_choice(choice, position)
            index = choice["index"]
            done = self._finished.get(index, False)
            choice["finish_reason"] = None if done else choice["finish_reason"]
            self._finished[index] = done or choice["finish_reason"] is not None
        payload.pop("obfuscation", None)
        payload["id"], payload["object"], payload["created"] = self.id, "text_completion", self._created
        payload["model"] = payload.get("model") or self._model
        return _validate_text(payload)

    def finish(self) -> list[Completion]:
        """What the service left out: finish reasons and the usage."""
        frame = {"id": self.id, "created": self._created or pieces.seconds(None), "model": self._model}
        open_ones = [index for index, done in sorted(self._finished.items()) if not done]
        last = [{"index": index, "text": "", "finish_reason": "stop"} for index in open_ones]
        out = [_validate_text({**frame, "choices": last})] if last else []
        if self._usage:
            out.append(_validate_text({**frame, "choices": [], "usage": pieces.usage(self._usage)}))
        return out

    @property
    def empty(self) -> bool:
        """Whether nothing came that belongs to an answer."""
        return not self._finished


def mend_text_choice(choice: dict[str, Any], position: int) -> None:
    """`text` where a service writes a chat delta (Together writes both), our finish reasons, no padding."""
    delta = choice.pop("delta", None) or choice.pop("message", None) or {}
    if choice.get("text") is None:
        choice["text"] = delta.get("content") or ""
    if choice.get("index") is None:
        choice["index"] = position
    reason = choice.get("finish_reason")
    choice["finish_reason"] = pieces.finish_reason(reason, False) if reason else None
    choice.pop("obfuscation", None)
