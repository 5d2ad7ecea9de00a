"""Searchable collections of files (OpenAI's Vector Stores)."""

from __future__ import annotations

from typing import Protocol


class VectorStores(Protocol):
    """Searchable collections of files (OpenAI's Vector Stores)."""
