"""`inline::meta-reference`: Llama Stack's older name of `inline::faiss`."""

from stack_core.providers.vector_io._faiss import Faiss

__all__ = ["Faiss"]
