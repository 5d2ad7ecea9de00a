"""A conversation that is too long for the model, without its beginning."""

from __future__ import annotations

from collections.abc import Sequence

from stack_core.apis.inference import Message

SHARE = 4
"""One in so many of the messages goes at a time: few tries, and not much more lost than must be."""


def shorter(messages: Sequence[Message]) -> list[Message] | None:
    """Without the oldest messages. Instructions stay, and a call of a tool goes with its results; None where what is
    left is the last thing that was asked."""
    kept = [message for message in messages if message.role in ("system", "developer")]
    rest = [message for message in messages if message.role not in ("system", "developer")]
    drop = max(1, len(rest) // SHARE)
    while drop < len(rest) and rest[drop].role in ("tool", "function"):
        drop += 1
    return None if drop >= len(rest) else [*kept, *rest[drop:]]
