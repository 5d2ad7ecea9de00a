"""Agents with sessions, turns and steps (Llama Stack 0.3.5)."""

from __future__ import annotations

from typing import Protocol


class Agents(Protocol):
    """Agents with sessions, turns and steps (Llama Stack 0.3.5)."""
