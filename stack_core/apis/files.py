"""Files that are kept, by id."""

from __future__ import annotations

from typing import Protocol


class Files(Protocol):
    """Files that are kept, by id."""
