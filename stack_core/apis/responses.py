"""The Responses API: one call that may use tools, keep state and run in the background."""

from __future__ import annotations

from typing import Protocol


class Responses(Protocol):
    """The Responses API: one call that may use tools, keep state and run in the background."""
