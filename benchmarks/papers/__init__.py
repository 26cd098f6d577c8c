"""The long experiments behind published numbers: what each paper reached, and what is reached here, seed by seed.

    python -m benchmarks papers                     every experiment, three seeds (hours)
    python -m benchmarks papers adding --seeds 2    one of them

Each run adds its outcome to `outcomes.json` as soon as it is known; the table in docs/papers.md is made from that file.
"""
