"""What a superstep costs on a real Temporal server: `python -m benchmarks`."""
