"""From a file of any format to text and chunks."""

from __future__ import annotations

from typing import Protocol


class FileProcessors(Protocol):
    """From a file of any format to text and chunks."""
