"""What tools answer, of a size that a model can be given."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from stack_core.apis._interleaved import ContentItem, ImageItem, ImageSource, TextItem
from stack_core.apis.tool_runtime import ToolInvocationResult

MOST = 1_000_000
"""Characters of a result that are kept, its images' base64 among them."""


class Gathering:
    """The pieces of one result, until they are too many."""

    def __init__(self, most: int = MOST) -> None:
        self.items: list[ContentItem] = []
        self.cut = False
        self._room = self._most = most

    def text(self, text: str) -> None:
        """Add a text: what has no room is cut, and said so."""
        if len(text) > self._room:
            left_out = len(text) - self._room
            text = text[: self._room] + f"\n[cut: {left_out:,} characters more than the {self._most:,} that are kept]"
            self.cut, self._room = True, 0
        else:
            self._room -= len(text)
        self.items.append(TextItem(text=text))

    def image(self, data: str, media_type: str) -> None:
        """Add an image, base64: one that has no room is named only."""
        if len(data) > self._room:
            self.cut = True
            self.items.append(TextItem(text=f"[left out: an image ({media_type}) of {len(data) * 3 // 4:,} bytes]"))
            return
        self._room -= len(data)
        self.items.append(ImageItem(image=ImageSource(data=data)))

    def fits(self, value: Any) -> bool:
        """Whether a value's JSON has room; it then takes it."""
        size = len(to_json(value, fallback=str))
        if size > self._room:
            self.cut = True
            return False
        self._room -= size
        return True


def failed(message: str, code: int, metadata: dict[str, Any] | None = None) -> ToolInvocationResult:
    """A call that came to nothing, for the model to read."""
    kept = Gathering(10_000)
    kept.text(message)
    said = kept.items[0].text if isinstance(kept.items[0], TextItem) else message
    return ToolInvocationResult(content=said, error_message=said, error_code=code, metadata=metadata)
