"""Metadata: what callers keep with a resource. Limits: OpenAI 2.3.0."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16, description="Up to 16 pairs; keys up to 64 characters, values up to 512."),
]
