"""`inline::builtin`: vectors in memory, searched by numpy. It needs no package beyond the base installation."""

from __future__ import annotations

from typing import ClassVar

from stack_core.providers._registry import provider
from stack_core.providers.vector_io._logged import Logged


@provider("inline::builtin")
class Builtin(Logged):
    """Vectors in memory, searched by numpy exactly, kept in the stack's own key-value store.

    Several processes may use one store; each holds all vectors.
    """

    matrix: ClassVar[str] = "numpy"
