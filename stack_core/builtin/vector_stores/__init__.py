"""Vector stores and vector IO, answered by the stack: it chooses, embeds, keeps the books, joins and ranks.

Providers of vector IO keep the vectors (`apis/vector_io.py: VectorIndex`).
"""
