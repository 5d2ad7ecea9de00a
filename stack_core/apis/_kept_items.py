"""How items are kept and shown again: conversations and responses do it alike."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, get_args

from stack_core.apis._items import Include, Item

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "compaction": "cmp",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "file_search_call": "fs",
    "web_search_call": "ws",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "code_interpreter_call": "ci",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
    "computer_call": "cu",
    "computer_call_output": "cuo",
    "image_generation_call": "ig",
}
"""Item type → how its ids begin, as OpenAI's do."""


def new_id(kind: str) -> str:
    """An id for a new item of this type: `msg_…`, `fc_…`."""
    return f"{_PREFIXES.get(kind, 'item')}_{secrets.token_hex(24)}"


def kept(item: Item) -> dict[str, Any]:
    """An item as it is stored: with an id and a status, the content of a message in parts."""
    data = item.model_dump(mode="json", by_alias=True)
    kind = data["type"]
    data["id"] = data.get("id") or new_id(kind)
    if "status" in type(item).model_fields and data.get("status") is None:
        data["status"] = "completed"
    if kind == "message" and isinstance(data["content"], str):
        part: dict[str, Any] = {"type": "input_text", "text": data["content"]}
        if data["role"] == "assistant":
            part = {"type": "output_text", "text": data["content"], "annotations": []}
        data["content"] = [part]
    return data


def shown(item: dict[str, Any], include: Iterable[Include] | None) -> dict[str, Any]:
    """A stored item without what is left out unless `include` asks for it."""
    asked = frozenset(include or ())
    for name in get_args(Include):
        kind, *inner, field = name.split(".")
        if item["type"] == kind and name not in asked:
            item = _without(item, inner, field)
    return item


def _without(item: dict[str, Any], inner: list[str], field: str) -> dict[str, Any]:
    """Drop `field`: of the item, of what stands in it under the name `inner`, or of its content of that type."""
    if not inner:
        return {name: value for name, value in item.items() if name != field}
    (name,) = inner
    if isinstance(item.get(name), dict):
        return {**item, name: _without(item[name], [], field)}
    if not isinstance(item.get("content"), list):
        return item
    parts = [_without(part, [], field) if part.get("type") == name else part for part in item["content"]]
    return {**item, "content": parts}
