"""Stacks with guards, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stack_core import Stack
from tests.stack_core.builtin.toy_stacks import run_file


def entry(kind: str, **config: Any) -> dict[str, Any]:
    """A provider of safety by its type; its id is what follows the colons."""
    return {"provider_id": kind.rpartition(":")[2], "provider_type": kind, "config": config}


def user(text: Any) -> dict[str, Any]:
    """What a user says."""
    return {"role": "user", "content": text}


@asynccontextmanager
async def guarded(
    folder: Path, guard: dict[str, Any], shields: Mapping[str, Mapping[str, Any]], **more: Any
) -> AsyncIterator[Stack]:
    """A stack with one guard and its shields: id → the other fields of its registration."""
    providers = {"safety": [guard], **more.pop("providers", {})}
    rows = [{"shield_id": name, **fields} for name, fields in shields.items()]
    async with Stack.open(run_file(folder, {"shields": rows}, providers=providers, **more)) as stack:
        assert not stack.unavailable, stack.unavailable
        yield stack


async def violation(stack: Stack, shield: str, *messages: Any, **more: Any) -> Any:
    """What a shield finds; a text is what a user says."""
    said = [user(message) if isinstance(message, str) else message for message in messages]
    return (await stack.safety.run_shield(shield_id=shield, messages=said, **more)).violation
