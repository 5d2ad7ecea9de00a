"""A help page: Markdown that ends in a cell to run."""

from __future__ import annotations

from llama_magics.render.elements import box, esc, note, root, span
from llama_magics.render.markdown import safe_markdown
from llama_magics.render.room import Room, cut_note
from llama_magics.render.sanitise import prose
from llama_magics.results import Help


def html(page: Help, room: Room) -> str:
    """The page no wider than reads well, and the example as a box to copy."""
    title = f'<div class="lsv-title">{span("help", "kind")} <strong>{esc(room.short(page.title))}</strong></div>'
    text = f'<div class="lsv-prose" dir="auto">{prose(room.cut(page.markdown))}</div>{note(_cut(page, room))}'
    example = f'<div class="lsv-try">{span("to try", "label")}{box(room.cut(page.example), "example")}</div>'
    return root(f'<div class="lsv-measure">{title}{text}{example if page.example else ""}</div>', "list", "prose")


def _cut(page: Help, room: Room) -> str:
    return cut_note(room, page.markdown, None, "markdown")


def plain(page: Help, room: Room) -> str:
    """The page as its Markdown, which reads well as it is."""
    parts = [page.title, room.cut(page.markdown).strip(), _cut(page, room), room.cut(page.example)]
    return "\n\n".join(part for part in parts if part)


def markdown(page: Help, room: Room) -> str:
    """The page with the example in a fence."""
    parts = [f"**{safe_markdown(page.title)}**", safe_markdown(room.cut(page.markdown)), _cut(page, room)]
    parts.append(f"```\n{room.cut(page.example)}\n```" if page.example else "")
    return "\n\n".join(part for part in parts if part)
