"""How a text is cut into pieces. Shapes: OpenAI 2.3.0."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from stack_core.apis._shapes import Strict


class AutoChunking(Strict):
    """Pieces of the usual sizes: 800 tokens that overlap by 400, unless the reader's config says otherwise, and smaller
    ones where a store's embedding model reads less at once."""

    type: Literal["auto"] = "auto"


class StaticSizes(Strict):
    """Sizes in tokens."""

    max_chunk_size_tokens: int = Field(800, ge=100, le=4096, description="Most tokens in a piece.")
    chunk_overlap_tokens: int = Field(400, ge=0, description="Tokens said again in the next piece; at most half.")

    @model_validator(mode="after")
    def _overlap_is_at_most_half(self) -> StaticSizes:
        if self.chunk_overlap_tokens > self.max_chunk_size_tokens // 2:
            raise PydanticCustomError("overlap", "chunk_overlap_tokens must be at most half of max_chunk_size_tokens")
        return self


class StaticChunking(Strict):
    """Pieces of a size that the caller chooses."""

    type: Literal["static"] = "static"
    static: StaticSizes


Chunking = Annotated[AutoChunking | StaticChunking, Field(discriminator="type")]
"""OpenAI's chunking strategy."""
