"""A result as the data that the JupyterLab extension draws, in place of the HTML."""

from __future__ import annotations

from typing import Any

from llama_magics.render.room import Room
from llama_magics.results import Shown


def mime(result: Shown) -> str:
    """The MIME type of a result's data: the kind, and the version of its shape."""
    return f"application/vnd.llama-stack.{result.kind}.v1+json"


def data(result: Shown, room: Room) -> dict[str, Any]:
    """The result's own data. What is cut is listed under `cut`: the path and how many characters or items there are."""
    cuts: list[dict[str, Any]] = []
    fitted: dict[str, Any] = _fit(result.to_dict(), room, "", cuts)
    if cuts:
        fitted["cut"] = cuts[: room.rows]
    return fitted


def _fit(value: Any, room: Room, path: str, cuts: list[dict[str, Any]]) -> Any:
    if isinstance(value, str) and len(value) > room.text:
        cuts.append({"path": path[: room.cell], "of": len(value)})
        return value[: room.text]
    if isinstance(value, dict):
        if len(value) > max(room.rows, 40):
            cuts.append({"path": path[: room.cell], "of": len(value)})
        some = list(value.items())[: max(room.rows, 40)]
        return {key[: room.cell]: _fit(item, room, f"{path}.{key}".lstrip("."), cuts) for key, item in some}
    if isinstance(value, list | tuple):
        if len(value) > room.rows:
            cuts.append({"path": path[: room.cell], "of": len(value)})
        return [_fit(item, room, f"{path}[{i}]", cuts) for i, item in enumerate(value[: room.rows])]
    return value
