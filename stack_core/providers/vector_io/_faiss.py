"""Vectors in memory, searched by faiss."""

from __future__ import annotations

from typing import ClassVar

from stack_core.providers._registry import provider
from stack_core.providers.vector_io._logged import Logged


@provider("inline::faiss", packages=("faiss",), extra="faiss")
@provider("inline::meta-reference", packages=("faiss",), extra="faiss")
class Faiss(Logged):
    """Vectors in memory, searched by faiss exactly, kept in the stack's own key-value store.

    Several processes may use one store; each holds all vectors.
    """

    matrix: ClassVar[str] = "faiss"
