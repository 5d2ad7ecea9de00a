"""Text cut for search."""
