"""`inline::builtin`: vectors in memory, searched by numpy. It needs no package beyond the base installation."""

from __future__ import annotations

from typing import ClassVar

from stack_core.providers._registry import provider
from stack_core.providers.vector_io._logged import Logged


@provider("inline::builtin")
class Builtin(Logged):
    """Vectors in memory, searched by numpy exactly, kept in the stack's own key-value store.

    One process may write a collection at a time; for several processes take `inline::sqlite-vec`.
    """

    matrix: ClassVar[str] = "numpy"
