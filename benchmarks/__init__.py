"""What we measure, each figure against a named peer or a stated bar: `python -m benchmarks`."""
