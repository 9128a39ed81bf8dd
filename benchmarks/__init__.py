"""Benchmarks of dreamgrid; `python -m benchmarks` runs them, `docs/benchmarks.md` tells them."""
