"""Files beside a question."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from llama_magics.attach import content
from stack_core.errors import InvalidRequest, NotFound

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_an_image_becomes_a_part(tmp_path: Path) -> None:
    (tmp_path / "dot.dat").write_bytes(PNG)  # its content decides, not its name
    parts = content("what is it?", ["dot.dat"], tmp_path)
    assert isinstance(parts, list)
    assert parts[0] == {"type": "text", "text": "what is it?"}
    assert parts[1]["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"), (b"RIFF\0\0\0\0WEBP", "image/webp")],
)
def test_kinds_of_images(tmp_path: Path, head: bytes, kind: str) -> None:
    (tmp_path / "x").write_bytes(head + b"rest")
    parts = content("?", ["x"], tmp_path)
    assert parts[1]["image_url"]["url"].startswith(f"data:{kind};")  # type: ignore[index, call-overload]  # a list here


def test_text_is_put_in_whole(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = '```'\n")
    text = content("Explain.", ["a.py"], tmp_path)
    assert text == "File a.py:\n````\nx = '```'\n````\n\nExplain."


def test_a_url_is_passed_on(tmp_path: Path) -> None:
    parts = content("?", ["https://example.org/a.png"], tmp_path)
    assert parts[1]["image_url"]["url"] == "https://example.org/a.png"  # type: ignore[index, call-overload]  # a list here


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PNG)
    with pytest.raises(NotFound) as caught:
        content("?", ["phot.png"], tmp_path)
    assert caught.value.nearest == ["photo.png"]


@pytest.mark.parametrize("data", [b"%PDF-1.7\n\xff\xfe", b"\0\1\2", b"a\0b", b"x" * (1024 * 1024 + 1)])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InvalidRequest):
        content("?", ["x"], tmp_path)
