"""Parts of answers that services write differently: times, token counts, finish reasons, tool calls, reasoning."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from pydantic_core import to_json

FINISH = {
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
}
_DETAILS = {"cached_tokens": "cached_tokens", "prompt_cache_hit_tokens": "cached_tokens"}


def seconds(value: Any) -> int:
    """A creation time in whole seconds: now where a service gives none, and milliseconds (watsonx) divided."""
    if not isinstance(value, (int, float)) or value <= 0:
        return int(time.time())
    return int(value // 1000 if value > 1e11 else value)


def usage(given: dict[str, Any]) -> dict[str, Any]:
    """Token counts without nulls; cached tokens that stand at the top (Together, DeepSeek) go where OpenAI has them."""
    out = {key: value for key, value in given.items() if value is not None}
    for name in ("prompt_tokens", "completion_tokens"):
        out[name] = max(0, out.get(name, 0))
    out["total_tokens"] = max(0, out.get("total_tokens", 0)) or out["prompt_tokens"] + out["completion_tokens"]
    for name, target in _DETAILS.items():
        if name in out and "prompt_tokens_details" not in out:
            out["prompt_tokens_details"] = {target: out[name]}
    return out


def finish_reason(given: str, called: bool) -> str:
    """OpenAI's word for it. Several services say `stop` after a tool call, so what was seen decides."""
    known = FINISH.get(given, given)
    return "tool_calls" if called and known == "stop" else known


def arguments_text(given: Any, default: str = "") -> str:
    """Tool arguments as JSON text; some services send the object itself, or null for none."""
    if given is None:
        return default
    return given if isinstance(given, str) else to_json(given).decode()


def new_call_id() -> str:
    """An id for a tool call whose service gave none, or gave one twice."""
    return f"call_{uuid4().hex[:24]}"


def whole_calls(given: Any) -> list[dict[str, Any]] | None:
    """The tool calls of a finished message, each with an id of its own and its arguments as text."""
    calls: list[dict[str, Any]] = []
    taken: set[str] = set()
    for call in given or []:
        function = call.get("function") or {}
        identity = call.get("id") or new_call_id()
        if identity in taken:
            identity = new_call_id()
        taken.add(identity)
        function = {**function, "arguments": arguments_text(function.get("arguments"), "{}")}
        calls.append({**call, "id": identity, "type": "function", "function": function})
    return calls or None


def split_blocks(blocks: list[Any]) -> tuple[str, str]:
    """(text, reasoning) of a content list: thinking items (Mistral), reasoning items (Databricks with Claude)."""
    text: list[str] = []
    thought: list[str] = []
    for block in blocks:
        if not isinstance(block, dict):
            text.append(str(block))
        elif block.get("type") in ("thinking", "reasoning"):
            inner = next((block[key] for key in ("thinking", "summary", "reasoning", "text") if block.get(key)), "")
            thought.append(inner if isinstance(inner, str) else "".join(str(part.get("text", "")) for part in inner))
        else:
            text.append(str(block.get("text") or ""))
    return "".join(text), "".join(thought)


class Thoughts:
    """Parts the reasoning that stands in tags at the start of a text from the answer, however the text is cut."""

    def __init__(self, tags: tuple[str, str]) -> None:
        self._open, self._close = tags
        self._state = "start"
        self._held = ""

    def split(self, piece: str) -> tuple[str, str]:
        """(answer, reasoning) that is certain after this piece."""
        if self._state == "answer":
            return piece, ""
        self._held += piece
        if self._state == "start":
            lead = self._held.lstrip()
            if lead.startswith(self._open):
                self._state, self._held = "inside", lead[len(self._open) :].lstrip("\n")
            elif self._open.startswith(lead):
                return "", ""
            else:
                self._state = "answer"
                return self.flush()
        return self._inside()

    def flush(self) -> tuple[str, str]:
        """What was held back and is now certain: at the end of a stream."""
        held, self._held = self._held, ""
        return ("", held) if self._state in ("inside", "gap") and held else (held, "")

    def _inside(self) -> tuple[str, str]:
        thought = ""
        if self._state == "inside":
            thought, found, rest = self._held.partition(self._close)
            if not found:
                keep = next((n for n in range(len(self._close) - 1, 0, -1) if thought.endswith(self._close[:n])), 0)
                self._held = thought[len(thought) - keep :]
                return "", thought[: len(thought) - keep]
            self._state, self._held, thought = "gap", rest, thought.rstrip("\n")
        answer = self._held.lstrip()  # the blank lines between thought and answer belong to neither
        self._held = ""
        if answer:
            self._state = "answer"
        return answer, thought
