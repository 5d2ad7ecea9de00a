"""What the project claims about speed and memory, measured beside a floor in the same run: `python -m benchmarks`."""
