"""Many requests in one file, carried out in the background (OpenAI's Batch API)."""

from __future__ import annotations

from typing import Protocol


class Batches(Protocol):
    """Many requests in one file, carried out in the background (OpenAI's Batch API)."""
