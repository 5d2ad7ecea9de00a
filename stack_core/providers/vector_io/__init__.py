"""Providers of vector IO: one module an index, and what they share (`_…`)."""
