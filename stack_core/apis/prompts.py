"""Prompts with versions and variables."""

from __future__ import annotations

from typing import Protocol


class Prompts(Protocol):
    """Prompts with versions and variables."""
