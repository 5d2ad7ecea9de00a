"""all-MiniLM-L6-v2 with numpy alone: its weights, its tokenizer, its forward pass."""
