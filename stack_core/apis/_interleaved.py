"""Content in Llama Stack's own shape: text, or texts and images in their order. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stack_core.apis._shapes import Strict


class URL(Strict):
    """An address."""

    uri: str = Field(min_length=1)


class ImageSource(Strict):
    """An image by its URL or by its content."""

    url: URL | None = Field(None, description="An http(s) or `data:` URL.")
    data: str | None = Field(None, description="Base64.")


class ImageItem(Strict):
    """An image in a content."""

    type: Literal["image"] = "image"
    image: ImageSource


class TextItem(Strict):
    """A piece of text in a content."""

    type: Literal["text"] = "text"
    text: str


ContentItem = Annotated[ImageItem | TextItem, Field(discriminator="type")]
Interleaved = str | ContentItem | list[ContentItem]
"""Llama Stack's `InterleavedContent`."""
