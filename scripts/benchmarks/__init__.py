"""Benchmarks with their peers in the same run; `scripts/bench` starts them."""
