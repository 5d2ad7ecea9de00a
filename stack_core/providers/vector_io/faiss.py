"""`inline::faiss`: vectors in memory, searched by faiss."""

from stack_core.providers.vector_io._faiss import Faiss

__all__ = ["Faiss"]
