"""Time and peak memory of one training step against the number of steps, the hidden size and the batch.

Every figure is taken in a process of its own: memory by `tracemalloc` over the first calls, buffers included, time over
calls after them. Run as a program, this file is such a process.
"""

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

from benchmarks import peers, table
from benchmarks.networks import Problem, Size, problem

CELL = "LSTM"
LENGTHS = [Size(64, 1, T, 64) for T in (10, 100, 1_000, 10_000)]
WIDTHS = [Size(H, 16, 50, H) for H in (16, 32, 64, 128, 256, 512)]
BATCHES = [Size(64, B, 50, 64) for B in (1, 4, 16, 64, 256)]
WAYS = ("compiled, numpy", "compiled, jit", "compiled, checkpoint", "eager")


def main(write: bool) -> None:
    """Measure, print the tables, and keep them in docs/benchmarks.md unless told not to."""
    parts = [f"{table.setting(('numpy', 'numba'))} {CELL}, float32, forward and backward."]
    for title, sizes in (("steps", LENGTHS), ("hidden size", WIDTHS), ("batch", BATCHES)):
        parts.append(f"### Growth with the {title}\n\n{grown(sizes)}")
    text = "\n\n".join(parts)
    print(text)
    if write:
        table.keep("growth", text)


def grown(sizes: Sequence[Size]) -> str:
    """A line for each size and way."""
    header = ("H, B, T", "how", "first call, ms", "ms", "µs a step", "peak, MB", "bytes a step and state entry")
    rows = []
    for way in WAYS:
        for size in sizes:
            print(way, size, file=sys.stderr, flush=True)
            found = measured(way, size)
            if "absent" in found:
                rows.append([str(size), way, found["absent"], "", "", "", ""])
                break
            states = size.T * size.B * size.H
            seconds = found["seconds"]
            figures = [found["first"] * 1e3, seconds * 1e3, seconds / size.T * 1e6, found["peak"] / 1e6]
            rows.append([str(size), way, *map(table.three, figures), f"{found['peak'] / states:.0f}"])
    return table.aligned(header, rows)


def measured(way: str, size: Size) -> dict[str, Any]:
    """The figures of one way at one size, taken in a fresh process."""
    numbers = [str(n) for n in (size.H, size.B, size.T, size.D)]
    command = [sys.executable, "-m", "benchmarks.growth", way, *numbers]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        return {"absent": found.stderr.strip().splitlines()[-1]}
    return json.loads(found.stdout)


def here(way: str, size: Size) -> dict[str, Any]:
    """The figures of one way at one size, in this process."""
    case = problem(CELL, size)
    contestant = _contestant(way, case)
    first = _timed(contestant.run)
    seconds = min(_timed(contestant.run) for _ in range(5))
    del contestant
    tracemalloc.start()
    contestant = _contestant(way, case)
    contestant.run()
    contestant.run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"first": first, "seconds": seconds, "peak": peak}


def _contestant(way: str, case: Problem) -> peers.Contestant:
    if way == "compiled, checkpoint":
        return peers.compiled(case, "numpy", checkpoint="sqrt")
    return peers.CONTESTANTS[way](case)


def _timed(run: Callable[[], object]) -> float:
    start = process_time()
    run()
    return process_time() - start


if __name__ == "__main__":
    print(json.dumps(here(sys.argv[1], Size(*map(int, sys.argv[2:])))))
