"""Measurements: `python -m benchmarks engine` against published packages, `diagnosis` over the wrong derivations.

One module per question; each prints its table and keeps it in docs/benchmarks.md. Nothing here is imported by
tinygrad_rnn or by its tests.
"""
