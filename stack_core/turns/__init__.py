"""The turns of a model and its tools: the loop that responses and agents are two faces of."""
