"""The embedded engine: llama.cpp in a process of its own, and what its HTTP server understands differently."""
