"""Chat samples and how they become text: the very template that is written into the GGUF file renders them,
so training and inference cannot drift apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

TEMPLATE_PATH = Path(__file__).with_name("chat_template.jinja")

Message = dict[str, Any]
Tool = dict[str, Any]


@dataclass
class Sample:
    """One conversation with the answers the model should give; an evaluation counts it under `task`."""

    task: str
    messages: list[Message]
    tools: list[Tool] = field(default_factory=list)
    start: int = 0  # index of the first message that belongs to the task, not to its surroundings

    def prepend(self, messages: list[Message]) -> None:
        """Put surroundings before the task's own messages."""
        self.messages = [*messages, *self.messages]
        self.start += len(messages)


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def call(name: str, arguments: dict[str, Any]) -> Message:
    """An assistant turn that is one tool call; arguments stay a mapping, as the template prints them."""
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}],
    }


def tool_result(text: str) -> Message:
    return {"role": "tool", "content": text}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    # llama.cpp's `tojson` is plain JSON; jinja2's own escapes HTML.
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE_PATH.read_text(encoding="utf-8"))


def render(messages: Sequence[Message], tools: Sequence[Tool] = (), *, prompt: bool = False) -> str:
    """The text of a conversation; `prompt` leaves the assistant's turn open for the model to write."""
    return _template().render(messages=messages, tools=list(tools), add_generation_prompt=prompt)


def openai_messages(messages: Sequence[Message]) -> list[Message]:
    """The same messages as an OpenAI client sends them: ids on calls, arguments as JSON text."""
    sent = []
    for message in messages:
        copy = dict(message)
        if calls := copy.get("tool_calls"):
            copy["tool_calls"] = [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": c["function"]["name"], "arguments": json.dumps(c["function"]["arguments"])},
                }
                for c in calls
            ]
        if copy["role"] == "tool":
            copy["tool_call_id"] = "call_1"
        sent.append(copy)
    return sent
