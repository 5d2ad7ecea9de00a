"""Message content in the conventions' shape (role, parts), as JSON text of bounded size.

Only sinks that want content get it; an exporter does not, unless the user turns that on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stack_core.telemetry.genai import Attributes, Reply, operation

if TYPE_CHECKING:
    from stack_core.apis._call import Call

MOST_TEXT = 8_000
"""Characters kept of one part."""
MOST_ALL = 64_000
"""Characters kept of all messages of a call; the last ones matter most."""


def captured(call: Call, asked: Any, reply: Reply, scrub: Callable[[str], str]) -> Attributes:
    """What was asked and answered: `gen_ai.input.messages` and `gen_ai.output.messages`."""
    kind = operation(call)
    if kind not in ("chat", "text_completion"):
        return {}
    out: Attributes = {"gen_ai.input.messages": scrub(json.dumps(_asked(asked)))}
    if said := _answered(reply):
        out["gen_ai.output.messages"] = scrub(json.dumps(said))
    return out


def _asked(request: Any) -> list[dict[str, Any]]:
    messages = getattr(request, "messages", None)
    if messages is None:
        return [{"role": "user", "parts": [_text(getattr(request, "prompt", ""))]}]
    kept: list[dict[str, Any]] = []
    room = MOST_ALL
    for message in reversed(messages):
        parts = _parts(message)
        room -= sum(len(text) for part in parts for text in part.values())
        if room < 0 and kept:
            break
        kept.append({"role": message.role, "parts": parts})
    return kept[::-1]


def _parts(message: Any) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": _cut(_plain(message.content))}]
    content = message.content
    parts = [_text(content)] if isinstance(content, str) else [_part(part) for part in content or ()]
    for tool in (message.tool_calls or ()) if message.role == "assistant" else ():
        parts.append(_tool(tool.id, tool.function.name, tool.function.arguments))
    return parts


def _part(part: Any) -> dict[str, Any]:
    text = getattr(part, "text", None)
    return _text(text) if text is not None else {"type": part.type}  # never the bytes of an image or a file


def _plain(content: str | Sequence[Any] | None) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(getattr(part, "text", "") for part in content)


def _answered(reply: Reply) -> list[dict[str, Any]]:
    out = []
    for index in sorted({*reply.texts, *(choice for choice, _ in reply.tools), *reply.reasons}):
        parts = [_text("".join(reply.texts[index]))] if index in reply.texts else []
        for (choice, _), tool in sorted(reply.tools.items()):
            if choice == index:
                parts.append(_tool(tool.get("id", ""), tool["name"], tool["arguments"]))
        out.append({"role": "assistant", "parts": parts, "finish_reason": reply.reasons.get(index)})
    return out


def _text(content: Any) -> dict[str, Any]:
    return {"type": "text", "content": _cut(content if isinstance(content, str) else json.dumps(content))}


def _tool(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "arguments": _cut(arguments)}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text):,} characters)"
