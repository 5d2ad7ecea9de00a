"""Guards on what goes in and out, and moderations."""

from __future__ import annotations

from typing import Protocol


class Safety(Protocol):
    """Guards on what goes in and out, and moderations."""
