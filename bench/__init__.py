"""Benchmarks: `python -m bench`. Every line is a ratio against a named baseline measured in the same run."""
