"""Benchmarks of Hubbub and its peers. Start with README.md; run with `python -m benchmarks`."""
