"""Conversations: items in order, kept."""

from __future__ import annotations

from typing import Protocol


class Conversations(Protocol):
    """Conversations: items in order, kept."""
