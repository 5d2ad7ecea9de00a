"""The traces, spans and metrics of what the stack did."""

from __future__ import annotations

from typing import Protocol


class Telemetry(Protocol):
    """The traces, spans and metrics of what the stack did."""
