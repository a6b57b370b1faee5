"""Measurements of the running server, each a command: `python -m benchmarks.serving`."""
