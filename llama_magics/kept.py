"""What `show` lists besides models, providers and chats: the things that the current stack keeps by id."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llama_magics.render.words import count
from llama_magics.results import Listing, Value
from llama_magics.session import Session

MOST = 100
"""Rows of one table."""
_TEXT = 80


@dataclass(frozen=True)
class Kept:
    """One kind.

    Args:
        one: what one is called.
        columns: of the table; what stands in the first `names` of them names a row.
        some: the first ones, newest or alphabetically first.
        get: one by its id.
        row: what the table says of one.
        step: a line to go on with, and what it does.
    """

    one: str
    columns: tuple[str, ...]
    some: Callable[[Any], Coroutine[Any, Any, Any]]
    get: Callable[[Any, str], Coroutine[Any, Any, Any]]
    row: Callable[[Any], list[Any]]
    step: tuple[str, str]
    names: int = 1


def listing(session: Session, kind: str) -> Listing:
    """The things of a kind that the current stack keeps."""
    kept, opened = KEPT[kind], session.opened()
    found = session.run(lambda _: kept.some(opened.stack))
    rows = [kept.row(thing) for thing in found.data[:MOST]]
    more = len(found.data) > MOST or getattr(found, "has_more", False)
    say = f"{opened.name} has no {kept.one}."
    if rows:
        say = (
            f"The first {MOST} {kept.one}s in {opened.name}."
            if more
            else f"{count(len(rows), kept.one)} in {opened.name}."
        )
    return Listing(kind, list(kept.columns), rows, say, [kept.step])


def one(session: Session, kind: str, name: str) -> Value:
    """One of them, by its id or its name.

    Raises:
        NotFound: there is none; names the nearest.
    """
    kept, opened = KEPT[kind], session.opened()

    async def found() -> Any:
        for thing in (await kept.some(opened.stack)).data:
            if name in kept.row(thing)[: kept.names]:
                return thing
        return await kept.get(opened.stack, name)

    return Value(f"{kept.one} {name}", session.run(lambda _: found()))


def _when(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "minutes")


def _short(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"


KEPT = {
    "files": Kept(
        "file",
        ("name", "id", "bytes", "purpose", "uploaded", "expires"),
        lambda stack: stack.files.list_files(limit=MOST),
        lambda stack, name: stack.files.get_file(name),
        lambda f: [f.filename, f.id, f.bytes, f.purpose, _when(f.created_at), _when(f.expires_at)],
        ("%stack call files.create_file file=PATH purpose=assistants", "uploads one"),
        names=2,
    ),
    "docs": Kept(
        "vector store",
        ("name", "id", "files", "bytes", "status", "provider"),
        lambda stack: stack.vector_stores.list_vector_stores(limit=MOST),
        lambda stack, name: stack.vector_stores.get_vector_store(name),
        lambda s: [s.name, s.id, s.file_counts.total, s.usage_bytes, s.status, (s.metadata or {}).get("provider_id")],
        ("%stack call vector_stores.create_vector_store name=NAME", "makes one"),
        names=2,
    ),
    "prompts": Kept(
        "prompt",
        ("id", "version", "variables", "text"),
        lambda stack: stack.prompts.list_prompts(),
        lambda stack, name: stack.prompts.get_prompt(name),
        lambda p: [p.prompt_id, p.version, ", ".join(p.variables), _short(p.prompt)],
        ('%stack call prompts.create_prompt prompt="…"', "keeps one"),
    ),
    "shields": Kept(
        "shield",
        ("id", "provider", "its name there"),
        lambda stack: stack.shields.list_shields(limit=MOST),
        lambda stack, name: stack.shields.get_shield(name),
        lambda s: [s.identifier, s.provider_id, s.provider_resource_id],
        ("%stack call shields.register_shield shield_id=NAME", "registers one"),
    ),
    "tools": Kept(
        "tool",
        ("name", "group", "does"),
        lambda stack: stack.tool_groups.list_tools(),
        lambda stack, name: stack.tool_groups.get_tool(name),
        lambda t: [t.name, t.toolgroup_id, _short(t.description)],
        ("%stack call tool_groups.register_tool_group toolgroup_id=NAME provider_id=ID", "registers a group"),
    ),
    "evals": Kept(
        "benchmark",
        ("id", "data set", "scoring functions", "provider"),
        lambda stack: stack.benchmarks.list_benchmarks(limit=MOST),
        lambda stack, name: stack.benchmarks.get_benchmark(name),
        lambda b: [b.identifier, b.dataset_id, ", ".join(b.scoring_functions), b.provider_id],
        (
            "%stack call benchmarks.register_benchmark benchmark_id=NAME dataset_id=ID scoring_functions='[…]'",
            "registers one",
        ),
    ),
}
"""Kind → how it is shown."""
