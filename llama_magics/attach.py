"""Files beside a question: an image becomes an image part, a text file is put into the text. The content decides what
a file is, not its name."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stack_core.errors import InvalidRequest, NotFound, nearest

MOST = 20 * 1024 * 1024
MOST_TEXT = 1024 * 1024
_SIGNS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


def content(text: str, files: Sequence[str | Path], folder: Path) -> str | list[dict[str, Any]]:
    """The content of a user message: the text, with text files put before it and images after it.

    Raises:
        NotFound: a file is not there; names the nearest.
        InvalidRequest: a file is too large, or neither an image nor text.
    """
    images: list[dict[str, Any]] = []
    texts: list[str] = []
    for name in files:
        if str(name).startswith(("http://", "https://", "data:image/")):
            images.append({"type": "image_url", "image_url": {"url": str(name)}})
            continue
        data = _read(name, folder)
        kind = _image_type(data)
        if kind:
            url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
            images.append({"type": "image_url", "image_url": {"url": url}})
        else:
            texts.append(_as_text(name, data))
    whole = "\n\n".join([*texts, text])
    return [{"type": "text", "text": whole}, *images] if images else whole


def _read(name: str | Path, folder: Path) -> bytes:
    if not str(name).strip():
        raise InvalidRequest("-a: a file's name is empty", "such as -a photo.png")
    path = folder / Path(name).expanduser()
    if path.is_dir():
        raise InvalidRequest(f"{name} is a folder", "attach the files in it, each with -a")
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = None if nearest(path.name, beside) else "paths are relative to the notebook's folder"
        raise NotFound("file", str(name), beside, hint)
    size = path.stat().st_size
    if size > MOST:
        raise InvalidRequest(f"{name} has {size / 1e6:.0f} MB; at most {MOST // 2**20} MB can be attached")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{name} cannot be read: {error.strerror}") from error


def _image_type(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for sign, kind in _SIGNS if data.startswith(sign)), None)


def _as_text(name: str | Path, data: bytes) -> str:
    if len(data) > MOST_TEXT:
        raise InvalidRequest(f"{name} has {len(data) / 1e6:.1f} MB of text; at most 1 MB fits into a question")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidRequest(
            f"{name} is neither an image (PNG, JPEG, GIF, WebP) nor text",
            "PDF files come in a later version",
        )
    fence = "```"
    while fence in text:
        fence += "`"
    return f"File {Path(name).name}:\n{fence}\n{text.rstrip()}\n{fence}"
