"""Ids of responses and of their items: an item's id says which response it belongs to, so that a reference to it is
found without an index."""

from __future__ import annotations

import secrets

from stack_core.apis._kept_items import new_id

_DIGITS = 40
"""Hex digits of a response's id; an item's id has these and eight more, its number."""
INPUT = 0x80000000
"""Where the numbers of input items begin."""


def new_response_id() -> str:
    """`resp_…`"""
    return f"resp_{secrets.token_hex(_DIGITS // 2)}"


def item_id(kind: str, response_id: str, number: int) -> str:
    """The id of a response's item: `msg_…`, `fc_…`."""
    prefix = new_id(kind).rpartition("_")[0]
    return f"{prefix}_{response_id.removeprefix('resp_')}{number:08x}"


def response_of(item_id: str) -> str:
    """The id of the response that an item would be of."""
    return f"resp_{item_id.rpartition('_')[2][:_DIGITS]}"
