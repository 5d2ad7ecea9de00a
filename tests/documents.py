"""The served OpenAPI document, which takes a second to make: once for all tests of a process. None may change it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from stack_core.server.aliases import route_table
from stack_core.server.openapi import document


@cache
def served_document() -> dict[str, Any]:
    """As a client reads it from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(document(route_table())))
    return found
